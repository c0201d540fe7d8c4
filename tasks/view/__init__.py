"""`pear view`: people of labels or predictions as a table and one by one in the browser; imports no torch at first."""
