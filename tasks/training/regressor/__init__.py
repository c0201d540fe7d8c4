"""Stage 1: the regressor from published labels."""
