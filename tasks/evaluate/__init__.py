"""How good labels are, where the data set knows better."""
