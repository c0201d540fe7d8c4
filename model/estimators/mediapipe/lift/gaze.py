"""Where the eyes look, from their irises and corners in the photo.

The head at rest is turned as its landmarks lie; what is left of the distance between iris and corners is the turn of
the eye. Eyes look the same way, so what the two say is averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.lift.rest import RestSkeleton
from model.estimators.mediapipe.lift.so3 import exp

REST_CORNERS = ((28, 25), (19, 22))
"""Rest face landmarks among the 51: outer and inner corner of the left and the right eye."""
CENTRE_M = np.array([[0.0016, 0.0019, -0.0073], [0.0016, 0.0019, -0.0024]])
"""Centre of the left eyeball from the middle of the eye's corners, by which an iris moves across and up."""
RADIUS_M = np.array([0.0094, 0.0042])
"""How far from there the centre of the iris is, across and up.

Fitted to rendered faces of known gaze: the network follows an iris by two thirds of its way across and by a third up
and down, where it goes by the lids. Of 36 people on photos who look into the camera, the centre fits as
(.0012, .0020, -.0061) and (.0005, .0020, -.0022)."""
MAX_SINE = 0.9
"""Farthest that eyes look away from the camera; beyond, a pixel is many degrees."""
MIRROR = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
"""From the left eye to each eye."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaze:
    """What both eyes say."""

    direction: Array
    """(3,) unit vector in the frame of the head: z straight ahead, +x the person's left, y up."""
    disagreement: float
    """Between the eyes, as a sine."""


def turned_away_rad(head: Array) -> float:
    """Angle between the forward axis of a head (3, 3), model axes, and the view axis, to either side."""
    return abs(math.atan2(head[0, 2], head[2, 2]))


def find_gaze(rest: RestSkeleton, head: Array, corners_px: Array, irises_px: Array) -> Gaze:
    """Finds the direction of both eyes.

    Args:
        rest: The skeleton at rest.
        head: (3, 3) rotation of the head, model axes, as a camera that looks straight at it sees it.
        corners_px: (2, 2, 2) outer and inner corner of the left and the right eye.
        irises_px: (2, 2) centres of their irises.
    """
    upright = exp(np.array([0.0, 0.0, -math.atan2(head[1, 0], head[0, 0])]))
    head = upright @ head
    to_model = upright[:2, :2] * [1.0, -1.0]  # photos have y down
    rest_corners = rest.face[np.array(REST_CORNERS)]
    width_m = np.linalg.norm(((rest_corners[:, 0] - rest_corners[:, 1]) @ head.T)[:, :2], axis=1)
    width_px = np.linalg.norm(corners_px[:, 0] - corners_px[:, 1], axis=1)
    offset_m = (irises_px - corners_px.mean(1)) @ to_model.T * (width_m / np.maximum(width_px, 1e-6))[:, None]
    at_rest_m = np.einsum("ekj,kj->ek", MIRROR[:, None] * CENTRE_M, head[:2])
    sines = (offset_m - at_rest_m) / RADIUS_M
    x, y = sines.mean(0) * min(1.0, MAX_SINE / max(float(np.linalg.norm(sines.mean(0))), 1e-9))
    seen = np.array([x, y, math.sqrt(1 - x * x - y * y)])
    return Gaze(direction=head.T @ seen, disagreement=float(np.linalg.norm(sines[0] - sines[1])))
