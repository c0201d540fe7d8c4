"""What a label is: every column with meaning, unit and frame, error codes, and the way from older versions."""
