"""Geometry and optimisation: fits the EHM-s body to 133 keypoints. Tensors in, tensors out; no files, no scheduler."""
