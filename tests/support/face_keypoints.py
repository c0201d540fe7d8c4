"""Keypoints of a person whose face is upright, turned or scaled."""

import math

import numpy as np


def person(roll_rad: float = 0.0, scale: float = 60.0, centre: tuple[float, float] = (200.0, 150.0)) -> np.ndarray:
    """Keypoints (133, 3) of a face whose points fill a box of 1.0 by 1.2 in its own axes, times ``scale``."""
    random = np.random.default_rng(0)
    face = random.uniform([-0.5, -0.2], [0.5, 0.6], (68, 2))
    face[:2] = [[-0.5, -0.6], [0.5, 0.6]]
    face[36:42], face[42:48] = (-0.2, -0.2), (0.2, -0.2)
    face[48:] = random.uniform([-0.15, 0.3], [0.15, 0.4], (20, 2))
    face[48:, 0] -= face[48:, 0].mean()
    cosine, sine = math.cos(roll_rad), math.sin(roll_rad)
    points = np.zeros((133, 3))
    points[23:91, :2] = scale * face @ np.array([[cosine, -sine], [sine, cosine]]).T + centre
    points[23:91, 2] = 0.9
    return points
