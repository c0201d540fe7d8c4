"""People of SAM-3D-Body's labels, in its tars and in its tables: box, and the 70 points of MHR in 2D and 3D.

Their bodies are MHR, which nothing here poses; the 3D points are what is used of them, where ``mhr_valid`` says that
they may be. MHR-70 has no point of the face beyond nose, eyes and ears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.people.values import (
    box_of,
    check_metres,
    is_set,
    numbers,
    placed,
    truth,
    with_hand_roots,
)
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.schema.truth_3d import Truth3d

_MHR70 = KEYPOINT_SETS["mhr70"]
_MIN_POINTS = 6
_MAX_OFF = 0.05
"""Of the size of the person in the photo."""
_VALID = ("mhr_valid", "proto_valid")
"""The flag of the body, which an older edition calls by another name."""


def person(record: Mapping[str, Any], index: int, where: str) -> PersonRecord:
    """A person of a tar or of a row of a table, arguments and errors as of HMR2's."""
    found = placed(numbers(record, "keypoints_2d", (70, 3)), _MHR70)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_of(numbers(record, "bbox", (4,)), record.get("bbox_format") or "none"),
        keypoints=with_hand_roots(found.placed),
        other_points=found.others,
        truth_3d=_truth(record, where),
    )


def focal_and_centre(record: Mapping[str, Any]) -> tuple[float, tuple[float, float]] | None:
    """Focal length, the mean of its two, and principal point (px) of ``cam_int``; None where it has none."""
    intrinsics = record.get("cam_int")
    if intrinsics is None and isinstance(record.get("metadata"), dict):
        intrinsics = record["metadata"].get("cam_int")
    if intrinsics is None:
        return None
    k = numbers({"cam_int": intrinsics}, "cam_int", (3, 3))
    return float(k[0, 0] + k[1, 1]) / 2, (float(k[0, 2]), float(k[1, 2]))


def _truth(record: Mapping[str, Any], where: str) -> Truth3d | None:
    if record.get("keypoints_3d") is None or not any(is_set(record, name) for name in _VALID):
        return None
    points = numbers(record, "keypoints_3d", (70, 3), (70, 4))
    if points.shape[1] == 3:
        points = np.concatenate([points, np.ones((70, 1))], axis=1)
    check_metres(points, where)
    found = placed(points, _MHR70)
    if not found.placed.any():
        return None
    is_placed = _is_in_camera(points, record)
    return truth(
        "camera",
        keypoints_m=with_hand_roots(found.placed),
        other_points_m=found.others,
        root_relative=not is_placed,
        points_turned=is_placed,
    )


def _is_in_camera(points: np.ndarray, record: Mapping[str, Any]) -> bool:
    """Whether the camera of the row sees the 3D points (70, 4) where the 2D ones are: then they say where the person
    is, else only how they stand."""
    camera, seen = focal_and_centre(record), numbers(record, "keypoints_2d", (70, 3))
    known = (points[:, 3] > 0) & (seen[:, 2] > 0)
    if camera is None or known.sum() < _MIN_POINTS or not (points[known, 2] > 0).all():
        return False
    focal, centre = camera
    off = points[known, :2] / points[known, 2:3] * focal + np.array(centre) - seen[known, :2]
    return bool(np.median(np.linalg.norm(off, axis=1)) < _MAX_OFF * np.ptp(seen[known, :2], axis=0).max())
