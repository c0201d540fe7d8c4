"""Frames of one person in a video: one fit of all of them, with one shape and poses that change smoothly."""
