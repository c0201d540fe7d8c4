"""Stage 2: the regressor by pixels, from a regressor that stage 1 has trained."""
