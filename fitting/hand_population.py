"""What hands usually look like, drawn from anatomy: every finger curls about its own hinge, fingers spread a little.

There is no open data set of hand poses, so the population is sampled from the rest skeleton itself. It gives the
spread of the 45 PCA coordinates that the prior needs, and the relaxed hand of people whose hand was not seen.
"""

from dataclasses import dataclass

import numpy as np

from model.body import skeleton

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_FLEXION_RAD = np.radians([[80, 95, 60], [80, 95, 60], [80, 95, 60], [80, 95, 60], [25, 35, 45]])
"""Full curl of the three joints of each finger."""
_SPREAD_RAD = 0.12
_RELAXED_SHARE = 0.8
"""The relaxed hand is this share of the mean curl."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandPopulation:
    """Statistics of hand pose in PCA coordinates, left then right."""

    spread: np.ndarray
    """(2, 45) root mean square of each coordinate about the mean hand of the body."""
    relaxed: np.ndarray
    """(2, 45) a relaxed hand."""


def hinge_axes(rest_joints: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Curl and spread axis of each finger joint of the left (0) or right (1) hand: two arrays (15, 3).

    Args:
        rest_joints: (55, 3) joints of the rest pose, palms down.
        side: 0 left, 1 right.
    """
    first = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)[side].start
    curl, spread = np.zeros((15, 3)), np.zeros((15, 3))
    root = {finger: rest_joints[first + 3 * k] for k, finger in enumerate(_FINGERS)}
    for k, finger in enumerate(_FINGERS):
        along = rest_joints[first + 3 * k + 2] - root[finger]
        along = along / np.linalg.norm(along)
        if finger == "thumb":
            axis = np.cross(along, (root["pinky"] + root["ring"]) / 2 - root["thumb"])
            axis = axis / np.linalg.norm(axis)
            other = np.cross(axis, along)
        else:
            axis = np.cross(along, [0.0, -1.0, 0.0])
            other = np.array([0.0, -1.0 if side == 0 else 1.0, 0.0])
        curl[3 * k : 3 * k + 3], spread[3 * k : 3 * k + 3] = axis, other
    return curl, spread


def sample_hands(rest_joints: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random plausible hands (count, 2, 15, 3), axis-angle from the flat hand, in radians."""
    hands = np.zeros((count, 2, 15, 3))
    for side in range(2):
        curl_axis, spread_axis = hinge_axes(rest_joints, side)
        grip = rng.beta(1, 1.5, (count, 1))
        finger = np.clip(grip + rng.normal(0, 0.3, (count, 5)), -0.1, 1.05)
        joint = np.clip(finger[..., None] + rng.normal(0, 0.12, (count, 5, 3)), -0.1, 1.1)
        curl = (_FLEXION_RAD * joint).reshape(count, 15)
        spread = np.zeros((count, 15))
        spread[:, ::3] = rng.normal(0, _SPREAD_RAD, (count, 5))
        hands[:, side] = curl_axis * curl[..., None] + spread_axis * spread[..., None]
    return hands


def hand_population(
    rest_joints: np.ndarray, hands_mean: np.ndarray, hands_components: np.ndarray, count: int = 2000
) -> HandPopulation:
    """Spread and relaxed pose in the coordinates of a body's own hand basis.

    Args:
        rest_joints: (55, 3).
        hands_mean: (2, 45) axis-angle.
        hands_components: (2, 45, 45) orthonormal rows.
        count: number of hands drawn; the same ones every time.
    """
    hands = sample_hands(rest_joints, count, np.random.default_rng(9)).reshape(count, 2, 45)
    coordinates = np.einsum("nhc,hkc->nhk", hands - hands_mean, hands_components)
    spread = np.sqrt((coordinates**2).mean(0)).clip(min=0.02)
    return HandPopulation(spread=spread, relaxed=_RELAXED_SHARE * coordinates.mean(0))
