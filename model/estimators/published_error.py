"""Standard deviations of rotations from the joint errors that papers publish.

Two ends of a bone of length L that are each wrong by a 3D error of mean e turn it by about sqrt(2) e / (1.596 L) an
axis: the mean length of a normal error with standard deviation s an axis is 1.596 s (Maxwell), and two ends add up.
"""

from __future__ import annotations

import math

import numpy as np

from model.estimators.base import Array

MAXWELL_MEAN = 2 * math.sqrt(2 / math.pi)
"""Mean length of a 3D normal error in standard deviations of an axis: 1.596."""
MAX_SIGMA_RAD = math.radians(20)
"""Bound for joints whose bone is too short to tell, and for the feet's ends."""

TORSO_M, NECK_M = 0.50, 0.25
"""Pelvis to neck, neck to the top of the head of an adult."""
LEVERS_M = np.array(
    [
        TORSO_M, 0.38, 0.38, TORSO_M * math.sqrt(3), 0.40, 0.40, TORSO_M * math.sqrt(3), 0.15, 0.15,
        TORSO_M * math.sqrt(3), 0.15, 0.15, NECK_M * math.sqrt(2), 0.35, 0.35, NECK_M * math.sqrt(2),
        0.26, 0.26, 0.25, 0.25, 0.17, 0.17,
    ]
)  # fmt: skip
"""Length (22,) by which the root and the joints 1..21 turn what the error is measured on: the bone to the child. The
three joints of the spine share the torso's turn, neck and head the head's."""
FINGER_M = 0.03
"""Mean phalanx."""


def turn_rad(error_m: float, lever_m: Array | float) -> Array:
    """Standard deviation an axis of the turn of a bone of length ``lever_m`` whose ends have a mean error."""
    return np.minimum(math.sqrt(2) * error_m / (MAXWELL_MEAN * np.asarray(lever_m)), MAX_SIGMA_RAD)


def body_sigma_rad(joint_error_m: float) -> Array:
    """Standard deviations (22,) of the root and 21 body joints of a network with this mean joint error."""
    return turn_rad(joint_error_m, LEVERS_M)
