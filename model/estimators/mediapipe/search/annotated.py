"""Faces and hands of people whose body points are annotated: looked for and judged where the annotations have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.runner import Networks
from model.estimators.mediapipe.landmarks import LEFT_ARM, POSE_OF_BODY, RIGHT_ARM
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.person import PersonReading, one_owner_a_hand, read_parts
from model.estimators.mediapipe.search.pose import PersonPose, PoseConfig, find_in_box

POINTS = slice(0, 17)
"""Keypoints that move a pose: those of COCO's people."""
FOLLOWERS = {
    0: (0, 9, 10),
    1: (1, 2, 3),
    2: (4, 5, 6),
    9: (*LEFT_ARM[2:], 21),
    10: (*RIGHT_ARM[2:], 22),
}
"""Keypoint: the pose landmarks that move with it: the mouth with the nose, an eye's corners, a hand with its wrist."""
VISIBLE = 2
"""COCO's flag of a point that is seen."""


def moved_to_annotations(pose: PersonPose, annotated: Array) -> PersonPose:
    """Returns the pose whose landmarks lie where (133, 3) keypoints with COCO's flags have them.

    Annotated points do not spread, and those that annotators saw are visible. What hangs on a point moves with it.
    """
    landmarks, spread_px = pose.landmarks.copy(), pose.spread_px.copy()
    for point in np.flatnonzero(annotated[POINTS, 2] > 0).tolist():
        own = int(POSE_OF_BODY[point])
        shift = annotated[point, :2] - pose.landmarks[own, :2]
        landmarks[list(FOLLOWERS.get(point, (own,))), :2] += shift
        spread_px[own] = 0.0
        if annotated[point, 2] >= VISIBLE:
            landmarks[own, 3] = 1.0
    return replace(pose, landmarks=landmarks, spread_px=spread_px)


def people_of_annotations(
    networks: Networks,
    rgb: Array,
    boxes: Array,
    usable: list[bool],
    annotated: Array,
    *,
    pose: PoseConfig,
    hands: HandConfig,
) -> list[PersonReading | None]:
    """Returns the person of each xyxy box (P, 4) with face and hands by annotated keypoints (P, 133, 3).

    None where no pose was found or the box is not usable. The pose stays as it was read.
    """
    found = [
        find_in_box(networks, rgb, box, pose) if is_usable else None
        for box, is_usable in zip(boxes, usable, strict=True)
    ]
    readings = one_owner_a_hand(
        [
            None if own is None else read_parts(networks, rgb, moved_to_annotations(own, points), hands)
            for own, points in zip(found, annotated, strict=True)
        ]
    )
    return [reading and replace(reading, pose=own) for reading, own in zip(readings, found, strict=True)]
