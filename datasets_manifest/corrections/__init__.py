"""Keypoints that people put right: one append-only file a sitting, obeyed by every annotation of the data set."""
