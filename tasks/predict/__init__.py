"""Prediction for photos and videos by a trained regressor."""
