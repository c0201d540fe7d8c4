"""People of PEAR's training tars: boxes, 44 or 134 points, and the parameters of SMPL-X that its labels hold.

The cameras of these files look along z with x to the left and y up. Rotations are turned here into the camera of a
photo (x right, y down), where nothing is said of the place: the root about which the body turns is not in the file.
Hands turn from the flat hand, and the head is FLAME's, as in EHM-s, whose labels they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.values import box_around, is_set, numbers, placed, truth
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.schema.truth_3d import Truth3d

_POINTS = (("smpl_keypoints_2d", KEYPOINT_SETS["hmr2_44"]), ("dwpose_keypoints_2d", KEYPOINT_SETS["dwpose134"]))
_FLIP = np.diag([-1.0, -1.0, 1.0])
"""From x left, y up to x right, y down."""
_OF_HEAD = (
    ("jaw_params", "jaw_pose", 3),
    ("eyelid_params", "eyelids", 2),
    ("shape_params", "flame_shape", None),
    ("expression_params", "flame_expression", None),
)
"""Name in the record -> ours and how many numbers."""
_UNTRUSTED = {"pose_valid": {"body", "feet", "legs"}, "hand_valid": {"left_hand", "right_hand"}, "head_valid": {"face"}}
"""Flag of a person -> parts that are not trusted without it."""


def person(record: Mapping[str, Any], index: int, where: str) -> PersonRecord:
    """A person of a tar, arguments and errors as of HMR2's; the scale is a side in pixels."""
    name, own = next((pair for pair in _POINTS if record.get(pair[0]) is not None), _POINTS[0])
    found = placed(numbers(record, name, (len(own.points), 3)), own)
    left_out = {part for flag, parts in _UNTRUSTED.items() if not is_set(record, flag) for part in parts}
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around(numbers(record, "center", (2,)), numbers(record, "scale", (), (1,), (2,)).max()),
        keypoints=found.placed,
        other_points=found.others,
        trusted=frozenset(TRUSTED_PARTS) - left_out,
        truth_3d=_truth(record) if is_set(record, "pose_valid") else None,
    )


def _truth(record: Mapping[str, Any]) -> Truth3d:
    body, identity = (record.get(name) for name in ("smplx_params", "id_params"))
    if not isinstance(body, dict) or not isinstance(identity, dict):
        raise RowError("smplx_params and id_params must be dicts of arrays.")
    to_camera = _FLIP @ numbers(body, "camera_RT_params", (3, 4), (1, 3, 4)).reshape(3, 4)[:, :3]
    root = Rotation.from_matrix(to_camera) * Rotation.from_rotvec(_flat(body, "global_pose", 3))
    parameters = {"global_orient": root.as_rotvec(), "body_pose": _flat(body, "body_pose", 63)}
    parameters["betas"] = numbers(identity, "smplx_shape", (None,), (1, None)).reshape(-1)
    for name in ("left_hand_pose", "right_hand_pose"):
        if body.get(name) is not None:
            parameters[name] = _flat(body, name, 45)
    head = record.get("flame_params")
    parameters |= _head(head) if isinstance(head, dict) else {}
    valid = (True, *(is_set(record, name) for name in ("hand_valid", "hand_valid", "head_valid")))
    return truth(
        "camera", model="smplx", parameters=parameters, hands_from="flat", part_valid=valid, root_relative=True
    )


def _head(head: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Parameters of a FLAME head, those that the record has."""
    parameters = {}
    for name, own, count in _OF_HEAD:
        if head.get(name) is not None:
            parameters[own] = numbers(head, name, (count,), (1, count)).reshape(-1)
    if head.get("eye_pose_params") is not None:
        eyes = _flat(head, "eye_pose_params", 6)
        parameters |= {"leye_pose": eyes[:3], "reye_pose": eyes[3:]}
    return parameters


def _flat(record: Mapping[str, Any], name: str, count: int) -> np.ndarray:
    joints = count // 3
    return numbers(record, name, (count,), (joints, 3), (1, count), (1, joints, 3)).reshape(count)
