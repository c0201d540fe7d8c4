"""SMPL-X bodies of AGORA: a pickle a person, in the frame of their scan, turned here into the camera of the photo.

A scan stands in Unreal's world, turned about the vertical; the camera is turned by what the name of the photo, or its
row, says. Hands turn from the relaxed hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.values import numbers
from datasets_manifest.paths import plain
from datasets_manifest.restricted_pickle import PickleError

_YAW_PITCH_DEG = (
    ("hdri", (0.0, 0.0)),
    ("cam00", (135.0, 30.0)),
    ("cam01", (-135.0, 30.0)),
    ("cam02", (-45.0, 30.0)),
    ("cam03", (45.0, 30.0)),
    ("ag2", (0.0, 15.0)),
)
"""What the name of a photo holds -> yaw and pitch of its camera; of others the row says the yaw, and there is no pitch.
"""
_SCAN_YAW_DEG = -90.0
_TO_OPENCV = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))
_OLD_NAMES = {"global_orient": "root_pose"}
_ROTATIONS = {
    "global_orient": 3,
    "body_pose": 63,
    "left_hand_pose": 45,
    "right_hand_pose": 45,
    "jaw_pose": 3,
    "leye_pose": 3,
    "reye_pose": 3,
}
_NUM_BETAS = 10
_PELVIS, _LEFT_HIP, _RIGHT_HIP, _SPINE = 0, 1, 2, 3
_MIN_ALIKE = 0.8
"""Cosine between an axis of the pelvis and the joints that lie along it."""


def smplx_parameters(row: Mapping[str, Any], read: Callable[[str], Any], folder: str) -> dict[str, np.ndarray]:
    """Parameters of a person's body in the camera.

    Args:
        row: What the lists of a photo's row say of the person, and ``imgPath`` and ``camYaw`` of the photo.
        read: Gives the content of a pickle below the root.
        folder: That the names of pickles are relative to.

    Raises:
        RowError: The pickle is not there or has other numbers, or its body is not turned as the person's joints.
    """
    stated = row.get("gt_path_smplx")
    if not isinstance(stated, str):
        raise RowError("gt_path_smplx is no name that can be read.")
    name = f"{folder.rstrip('/')}/{stated.removesuffix('.obj').removesuffix('.pkl')}.pkl"
    try:
        plain(name, Path())  # The row names it: one that leads elsewhere is its own fault, not the data set's.
    except ValueError as error:
        raise RowError(str(error)) from error
    try:
        content = read(name)
    except (PickleError, OSError) as error:
        raise RowError(f"its body {name} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise RowError(f"its body {name} is no dict of arrays.")
    parameters = {}
    for own, count in _ROTATIONS.items():
        key = own if own in content else _OLD_NAMES.get(own, own)
        if key in content or own in ("global_orient", "body_pose"):
            shapes = ((count,), (1, count), (count // 3, 3), (1, count // 3, 3))
            parameters[own] = numbers(content, key, *shapes).reshape(-1)
    turn = _to_camera(row) * Rotation.from_rotvec(parameters["global_orient"])
    _check_turn(turn, row, name)
    parameters["global_orient"] = turn.as_rotvec()
    if not row.get("kid") and content.get("betas") is not None:  # Of children they are of a template that is mixed in.
        parameters["betas"] = numbers(content, "betas", (None,), (1, None)).reshape(-1)[:_NUM_BETAS]
    if content.get("expression") is not None:
        parameters["expression"] = numbers(content, "expression", (None,), (1, None)).reshape(-1)
    return parameters


def _to_camera(row: Mapping[str, Any]) -> Rotation:
    """From the frame of a scan to x right, y down, z forward of the camera."""
    known = (angles for word, angles in _YAW_PITCH_DEG if word in row["imgPath"])
    yaw, pitch = next(known, None) or (float(numbers(row, "camYaw", (), (1,)).sum()), 0.0)
    scan = float(numbers(row, "Yaw", (), (1,)).sum()) + _SCAN_YAW_DEG
    return Rotation.from_euler("x", pitch, True) * Rotation.from_euler("y", scan - yaw, True) * _TO_OPENCV


def _check_turn(turn: Rotation, row: Mapping[str, Any], name: str) -> None:
    """Refuses a pelvis whose axes to the left and up do not go with the joints of the row, where it has any."""
    if row.get("gt_joints_3d") is None:
        return
    joints = numbers(row, "gt_joints_3d", (None, 3))
    for axis, (end, start) in enumerate(((_LEFT_HIP, _RIGHT_HIP), (_SPINE, _PELVIS))):
        along = joints[end] - joints[start]
        length = float(np.linalg.norm(along))
        if length and float(turn.as_matrix()[:, axis] @ along) < _MIN_ALIKE * length:
            raise RowError(
                f"the body {name} is not turned as gt_joints_3d: it is another person's, or in another frame than that "
                "of its scan."
            )
