"""Motion in the formats of others, of labels and of predictions: one track, one file."""
