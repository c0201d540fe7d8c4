"""Reads the eyes of a face whose mesh is known."""

from __future__ import annotations

import math

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import EyeReading, Networks

CORNERS_OF_MESH = ((263, 362), (33, 133))
"""Face landmarks: outer and inner corner of the left and the right eye."""
REGION_FACTOR = 2.3
"""Side of the network's region in widths of the eye, as MediaPipe's own graph cuts it."""


def read_eyes(networks: Networks, rgb: Array, mesh: Array) -> tuple[EyeReading, EyeReading]:
    """Reads the left and the right eye of a (468, 2+) mesh, upright along their corners."""
    left, right = (mesh[list(corners), :2].astype(float) for corners in CORNERS_OF_MESH)
    return (
        networks.eye(rgb, _region(left[1], left[0]), mirrored=True),
        networks.eye(rgb, _region(right[0], right[1])),
    )


def _region(from_px: Array, to_px: Array) -> Region:
    """The region of an eye between its corners (2,), the first one on the photo's left where the face is upright."""
    x, y = (from_px + to_px) / 2
    along = to_px - from_px
    side_px = REGION_FACTOR * max(float(np.hypot(*along)), 1.0)
    return Region(float(x), float(y), side_px, math.atan2(along[1], along[0]))
