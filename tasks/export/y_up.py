"""From the axes of a motion, z up, to those of files for animation: y up; a camera at the origin looks along -z."""

import numpy as np

Y_UP_FROM_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Rotation (3, 3)."""
