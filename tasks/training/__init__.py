"""Stage 1: label files in, a trained regressor out."""
