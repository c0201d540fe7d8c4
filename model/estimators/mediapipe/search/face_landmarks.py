"""Reads the face of one person, starting at the head of the pose."""

from __future__ import annotations

import math

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import FaceReading, Networks

FOREHEAD, CHIN, NOSE = 10, 152, 1
"""Face landmarks on the axis of the face."""
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
"""Face landmarks at the outer corners of the eyes."""

RIGHT_EYE, LEFT_EYE = 5, 2
"""Pose landmarks at the middle of the eyes."""

GOOD_SCORE = 0.95
"""Score at which the search stops."""
MIN_SCORE = 0.5
"""Score of an accepted face."""
MAX_OFFSET = 0.35
"""Largest distance between an accepted face and the pose's face, in face heights."""
MIN_EYES = 0.25
"""Least agreement of an accepted face's eyes with the pose's, see `eyes_along`. On the back of a head, where left and
right are swapped, it is negative; of 119 faces of real people, seven meshes that were no fit had at most 0.23 and the
others at least 0.35."""


def next_region(reading: FaceReading) -> Region:
    """Returns the region of a face that was just read: 1.5 times its box, upright along the eyes."""
    points = reading.landmarks[:, :2]
    eyes = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    low, high = points.min(0), points.max(0)
    x, y = (low + high) / 2
    return Region(float(x), float(y), 1.5 * float(max(high - low)), math.atan2(eyes[1], eyes[0]))


def read_face(networks: Networks, rgb: Array, region: Region, *, iterations: int = 3) -> FaceReading:
    """Reads a face, moving the region to where the face turned out to be."""
    best = reading = networks.face(rgb, region)
    for _ in range(iterations - 1):
        following = next_region(reading)
        if following.side_px < 4:
            break
        reading = networks.face(rgb, following)
        if reading.score > best.score - 0.02:
            best = reading
    return best


def face_offset(face: FaceReading, pose: Array) -> float:
    """Distance between the face's centre and that of the pose's (33, 2+) face, in face heights."""
    points = face.landmarks[:, :2]
    centre = points[[NOSE, CHIN, FOREHEAD]].mean(0)
    expected = pose[[0, 9, 10, 2, 5], :2].mean(0)
    length = float(np.hypot(*(points[FOREHEAD] - points[CHIN])))
    return float(np.hypot(*(centre - expected))) / max(length, 1e-6)


def eyes_along(mesh: Array, pose: Array) -> float:
    """Distance between the eyes of a pose (33, 2+) along the line between those of a mesh (468, 2+), in its lengths."""
    line = mesh[LEFT_EYE_OUTER, :2] - mesh[RIGHT_EYE_OUTER, :2]
    return float((pose[LEFT_EYE, :2] - pose[RIGHT_EYE, :2]) @ line / max(float(line @ line), 1e-6))


def face_detail(score: float, offset: float, eyes: float) -> str | None:
    """What is said against a face, with the figure and its limit; None for one that is trusted.

    Args:
        score: Of the network, NaN without a reading.
        offset: Distance to the pose's face (or the face detector's box), in face heights.
        eyes: See ``eyes_along``; NaN of a head without a pose.
    """
    if math.isnan(score):
        return "no head was found where a face could be looked for"
    if not score > MIN_SCORE:
        return f"score {score:.2f}, needed {MIN_SCORE}"
    if not offset < MAX_OFFSET:
        return f"{100 * offset:.0f} % of its height beside the pose's face, allowed {100 * MAX_OFFSET:.0f} %"
    if eyes < MIN_EYES:
        return f"the body's eyes are {100 * eyes:.0f} % as far apart along the face's, needed {100 * MIN_EYES:.0f} %"
    return None


def head_side(pose: Array) -> float:
    """Size of the head, px, from (33, 2+) pose landmarks; the shoulders and trunk bound it for profiles."""
    points = pose[:, :2]
    ears = np.hypot(*(points[7] - points[8]))
    shoulders = np.hypot(*(points[11] - points[12]))
    trunk = np.hypot(*(points[11] + points[12] - points[23] - points[24])) / 2
    return float(max(1.25 * ears, 0.42 * max(shoulders, 0.62 * trunk)))


def find_face(networks: Networks, rgb: Array, pose: Array) -> FaceReading:
    """Returns the best face near the head of (33, 5) pose landmarks."""
    points = pose[:, :2]
    size = head_side(pose)
    x, y = (points[7] + points[8] + points[0]) / 3
    roll = math.atan2(points[2, 1] - points[5, 1], points[2, 0] - points[5, 0])
    best: tuple[float, FaceReading] | None = None
    for factor, rotation in ((2.2, roll), (1.5, roll), (2.2, 0.0), (3.0, 0.0)):
        reading = read_face(networks, rgb, Region(float(x), float(y), factor * size, rotation))
        worth = reading.score * (0.2 if face_offset(reading, pose) > 1 else 1.0)
        if best is None or worth > best[0]:
            best = (worth, reading)
        if best[0] > GOOD_SCORE:
            break
    assert best is not None
    return best[1]
