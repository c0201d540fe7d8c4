"""Keypoints of a COCO row: the 133, and beside them those that the 133 lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.coco_layout import FlagMeaning
from datasets_manifest.adapters.coco_values import RowError, flagged, in_wholebody, scored, triplets
from datasets_manifest.schema.keypoint_sets import KeypointSet

_NUM_BODY = 17
_NUM_FOOT = 3
# Blocks after body and feet: keypoints, their validity flag, number of points. The third number is a confidence, which
# is 0..1, or 1 and 2 where a person labelled them.
_SCORED_BLOCKS = (
    ("face_kpts", "face_valid", 68),
    ("lefthand_kpts", "lefthand_valid", 21),
    ("righthand_kpts", "righthand_valid", 21),
)


def read_points(
    row: Mapping[str, Any], own: KeypointSet, flags: FlagMeaning | None, *, whole: bool, first_pixel: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Keypoints of a person.

    Args:
        row: Its annotation.
        own: What its ``keypoints`` are.
        flags: What the third number of bodies and feet means; None: as the set has it.
        whole: Whether feet, face and hands are read, as COCO-WholeBody has them.
        first_pixel: What the first pixel is called.

    Returns:
        (133, 3) float32 x px, y px, score; zeros where nothing is labelled. And (3,) the same of points that the 133
        lack, by name, where they are labelled.

    Raises:
        RowError: A block has other numbers, or a flag is none.
    """
    found, others = np.zeros((133, 3), np.float32), dict[str, np.ndarray]()
    if "keypoints" in row:
        points = _told(triplets(row, "keypoints", len(own.points)), "keypoints", flags, own.visible_flag)
        found = in_wholebody(points, own)
        if len(own.left_out) > 0:
            named = zip(own.points, own.wholebody, points, strict=True)
            others = {name: point for name, index, point in named if index is None and point[2] > 0}
    if whole:
        blocks = [_told(_feet(row), "foot_kpts", flags, 2)]
        for name, valid, count in _SCORED_BLOCKS:
            points = triplets(row, name, count)
            blocks.append(scored(points if row.get(valid) else np.zeros_like(points)))
        found = np.concatenate([found[:_NUM_BODY], *blocks])
    if first_pixel:
        for points in (found, *(point[None] for point in others.values())):
            points[points[:, 2] > 0, :2] -= first_pixel
    return found, others


def _told(points: np.ndarray, name: str, flags: FlagMeaning | None, visible: int) -> np.ndarray:
    """(N, 3) with whatever stands behind x and y -> (N, 3) with a score."""
    if flags == "score":
        if (points[:, 2] < 0).any():
            raise RowError(f"a score of {name} must be 0 or more, got {points[:, 2].min():g}.")
        return scored(points)
    if flags == "binary":
        return flagged(points, name, 1, (0, 1))
    return flagged(points, name, 2 if flags == "coco012" else visible)


def _feet(row: Mapping[str, Any]) -> np.ndarray:
    """(6, 3) as written, zeros of a foot that is marked invalid: one flag for both, or one each."""
    points = triplets(row, "foot_kpts", 2 * _NUM_FOOT).copy()
    if "foot_valid" in row:
        sides = (row["foot_valid"], row["foot_valid"])
    else:
        sides = (row.get("leftfoot_valid"), row.get("rightfoot_valid"))
    for side, valid in enumerate(sides):
        if not valid:
            points[_NUM_FOOT * side : _NUM_FOOT * (side + 1)] = 0
    return points
