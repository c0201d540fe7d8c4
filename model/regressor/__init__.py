"""The regressor: EHM-s parameters from one crop, its losses, and prediction in photos."""
