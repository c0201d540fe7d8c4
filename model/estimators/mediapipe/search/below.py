"""The pose below a face: people whom the person detector missed though their face is seen."""

from __future__ import annotations

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import FaceReading, Networks, PoseReading
from model.estimators.mediapipe.search.face_landmarks import eyes_along, face_detail, face_offset
from model.estimators.mediapipe.search.heads import mesh_centre, mesh_height
from model.estimators.mediapipe.search.pose import PersonPose, measure_spread, next_region
from model.estimators.mediapipe.uncertainty import is_pose_usable, limb_details

SIDES = (9.5, 7.0, 12.0)
"""Sides of the regions that are tried, in heights of the face: somebody sits, crouches or stands."""
DROP = 0.38
"""How far below the face the centre of a region lies, in its sides."""
GOOD_SCORE = 0.9
"""Score of a pose with this head at which no other region is tried."""
NUM_MOVES = 2
"""How often the region follows the person before the pose is measured."""
MIN_SCORE = 0.5
"""Score below which nobody is there."""


def has_head(pose: PoseReading | PersonPose, face: FaceReading) -> bool:
    """Whether a pose's head is the one of a face."""
    offset, eyes = face_offset(face, pose.landmarks), eyes_along(face.landmarks, pose.landmarks)
    return face_detail(face.score, offset, eyes) is None


def regions_below(face: FaceReading) -> list[Region]:
    """Regions worth a look for the body below a face."""
    x, y = mesh_centre(face.landmarks)
    sides = [factor * mesh_height(face.landmarks) for factor in SIDES]
    return [Region(float(x), float(y) + DROP * side, side) for side in sides]


def pose_below(networks: Networks, rgb: Array, face: FaceReading) -> PersonPose | None:
    """Returns the pose whose head is a given face; None where too little of the body is seen for one.

    Args:
        networks: The networks of this process.
        rgb: (H, W, 3) photo.
        face: Of the head.
    """
    best: PoseReading | None = None
    for region in regions_below(face):
        reading = networks.pose(rgb, region)
        if has_head(reading, face) and (best is None or reading.score > best.score):
            best = reading
        if best is not None and best.score > GOOD_SCORE:
            break
    if best is None or best.score < MIN_SCORE:
        return None
    for _ in range(NUM_MOVES):
        moved = networks.pose(rgb, next_region(best))
        if moved.score < best.score - 0.05 or not has_head(moved, face):
            break
        best = moved
    unmoved = np.zeros(len(best.landmarks))
    if not is_pose_usable(limb_details(best.landmarks, unmoved, best.region.side_px, rgb.shape[1], rgb.shape[0])):
        return None
    return measure_spread(networks, rgb, best)
