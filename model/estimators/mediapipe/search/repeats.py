"""Readings of a photo that are no person of their own: a second one of somebody, or one composed of several people."""

from __future__ import annotations

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.landmarks import POSE_FLIP
from model.estimators.mediapipe.search.pose import PersonPose, is_seen
from model.imaging.boxes import box_area, intersection_area

JOINTS = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Pose landmarks that tell people apart: nose, then shoulders to wrists and hips to ankles."""
CLAIM_REACH = 0.08
"""Distance of two readings of one joint, in the smaller box's longer sides."""
MIN_CLAIMS_WITH_HEAD, MAX_CLAIMS = 4, 7
"""Joints of other people, among ``JOINTS``, that make a pose no person of its own: with another's head, and without.
People who embrace or stand behind one another share up to two."""


def claimed(pose: PersonPose, other: PersonPose, reach_px: float) -> Array:
    """Which of ``JOINTS`` lie on the same joint of another pose, left or right: (13,) bool."""
    here, there = pose.landmarks[JOINTS, :2], other.landmarks[:, :2]
    distances = [np.linalg.norm(here - there[places], axis=1) for places in (JOINTS, POSE_FLIP[JOINTS])]
    return np.minimum(*distances) < reach_px


def is_taken(pose: PersonPose, side: float, others: list[tuple[PersonPose, float]]) -> bool:
    """Whether a pose is made of other people: one that has the same head and some of the limbs, or several.

    Args:
        pose: To be judged.
        side: Longer side of its box, px.
        others: Steadier poses with their sides.
    """
    taken = [claimed(pose, other, CLAIM_REACH * min(side, own)) for other, own in others]
    has_head_of = any(own[0] and own.sum() >= MIN_CLAIMS_WITH_HEAD for own in taken)
    return has_head_of or int(np.any(taken, axis=0).sum()) >= MAX_CLAIMS


def drop_repeats(poses: list[PersonPose], boxes: list[Array]) -> list[int]:
    """Returns the indices to keep: of readings of one person the steadiest, none that is composed of people who are
    kept, and no small box between the points of a larger person."""
    sides = [float(max(box[2:] - box[:2])) for box in boxes]
    order = sorted(range(len(poses)), key=lambda i: float(np.median(poses[i].spread_px)) / max(sides[i], 1.0))
    kept: list[int] = []
    for i in order:
        if not is_taken(poses[i], sides[i], [(poses[j], sides[j]) for j in kept]):
            kept.append(i)

    def is_swallowed(i: int) -> bool:
        larger = [poses[j].landmarks for j in kept if sides[i] < 0.5 * sides[j]]
        points = [landmarks[is_seen(landmarks), :2] for landmarks in larger]
        extents = [np.concatenate([own.min(0), own.max(0)]) for own in points]
        return any(intersection_area(boxes[i], extent) > 0.8 * box_area(boxes[i]) for extent in extents)

    return sorted(i for i in kept if not is_swallowed(i))
