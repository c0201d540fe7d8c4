"""People of HMR2's training tars: a list of dicts a photo, and the 44 points and SMPL parameters that each may have.

3D is relative to the pelvis, as HMR2 reads it: it subtracts the pelvis from every point, whatever the file holds. How
the points are turned the manifest says (``points_3d``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.people.values import box_around, check_metres, is_set, numbers, placed, truth
from datasets_manifest.schema.keypoint_sets import HMR2_44
from datasets_manifest.schema.truth_3d import GenderName, Truth3d

PIXELS_OF_SCALE = 200.0
"""Pixels of a scale of 1."""
BOX_FACTOR = 1.2
"""By how much boxes of HMR2, and of SPIN before it, are larger than people."""
_DETECTED_LIMBS = slice(1, 15)
"""OpenPose's limbs among the 44: in 3D HMR2 uses the annotated ones alone."""


def person(record: Mapping[str, Any], index: int, where: str) -> PersonRecord:
    """A person of a tar.

    Args:
        record: Of the list in ``data.pyd``.
        index: Its number in the list.
        where: Names it in an error.

    Raises:
        RowError: A value is missing or cannot be used.
        UnitError: 3D points are millimetres.
    """
    scale = numbers(record, "scale", (), (1,), (2,))
    found = placed(numbers(record, "keypoints_2d", (44, 3)), HMR2_44)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around(numbers(record, "center", (2,)), scale * PIXELS_OF_SCALE),
        keypoints=found.placed,
        other_points=found.others,
        truth_3d=truth_of(record, record.get("keypoints_3d"), where),
    )


def truth_of(
    record: Mapping[str, Any], points_3d: Any, where: str, *, gender: GenderName = "neutral"
) -> Truth3d | None:
    """SMPL parameters where their flags say so, and 3D points (44, 4) where any is known; None without either."""
    parameters: dict[str, np.ndarray] = {}
    if is_set(record, "has_body_pose"):
        parameters |= smpl_pose(numbers(record, "body_pose", (72,)))
    if parameters and is_set(record, "has_betas"):
        parameters["betas"] = numbers(record, "betas", (10,))
    keypoints, others = None, {}
    if points_3d is not None:
        points = numbers({"keypoints_3d": points_3d}, "keypoints_3d", (44, 4))
        points[_DETECTED_LIMBS, 3] = 0
        check_metres(points, where)
        keypoints, others = placed(points, HMR2_44)
        keypoints = keypoints if keypoints[:, 3].any() else None
    if not parameters and keypoints is None and not others:
        return None
    return truth(
        "camera",
        model="smpl",
        parameters=parameters,
        gender=gender,
        keypoints_m=keypoints,
        other_points_m=others,
        root_relative=True,
        points_turned=False,
    )


def smpl_pose(rotvecs: np.ndarray) -> dict[str, np.ndarray]:
    """SMPL's 24 rotations (72,), axis-angle, as parameters."""
    return {"global_orient": rotvecs[:3], "body_pose": rotvecs[3:]}
