"""AGORA's people as its evaluation takes them: everybody of a photo with joints, whoever counts, at 3840 x 2160.

The listing (``agora``) leaves out who is not valid; the evaluation may match somebody with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.values import numbers
from datasets_manifest.adapters.sequences.agora import valid_flags

NUM_JOINTS = 127
"""Joints and points of SMPL-X that the evaluation knows, of those that the files hold."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AgoraPhoto:
    """The T people of a photo."""

    image_id: str
    """As the listing has it."""
    persons: np.ndarray
    """(T,) numbers within the photo."""
    joints_px: np.ndarray
    """(T, 127, 2) at 3840 x 2160, whichever pictures are read."""
    joints_m: np.ndarray
    """(T, 127, 3) in the camera."""
    vertices_m: np.ndarray | None
    """(T, V, 3) likewise; None where the file has them not of all."""
    is_valid: np.ndarray
    """(T,) bool."""
    occlusion: np.ndarray
    """(T,) percent; NaN where the file does not say."""
    is_kid: np.ndarray
    """(T,) bool."""


def agora_photos(content: Any) -> Iterator[AgoraPhoto]:
    """Photos in the order of the rows of a file; rows and people that cannot be read, of which the listing tells, are
    left out."""
    for row in content if isinstance(content, list) else ():
        picture = row.get("imgPath") if isinstance(row, Mapping) else None
        if isinstance(picture, str):
            yield _photo(row, PurePosixPath(picture).stem)


def _photo(row: Mapping[str, Any], image_id: str) -> AgoraPhoto:
    valid = np.array(valid_flags(row), bool)
    joints = {k: pair for k in range(len(valid)) if (pair := _joints(row, k)) is not None}
    persons = np.array(list(joints), np.int64)
    meshes = [_vertices(row, k) for k in joints]
    known = [mesh for mesh in meshes if mesh is not None]
    has_all = bool(known) and len(known) == len(meshes) and len({mesh.shape for mesh in known}) == 1
    return AgoraPhoto(
        image_id=image_id,
        persons=persons,
        joints_px=np.array([pair[0] for pair in joints.values()]).reshape(-1, NUM_JOINTS, 2),
        joints_m=np.array([pair[1] for pair in joints.values()]).reshape(-1, NUM_JOINTS, 3),
        vertices_m=np.stack(known) if has_all else None,
        is_valid=valid[persons],
        occlusion=_values(row, "occlusion", len(valid), np.nan)[persons],
        is_kid=_values(row, "kid", len(valid), 0.0)[persons] > 0,
    )


def _joints(row: Mapping[str, Any], number: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Of somebody in the picture and in the camera."""
    own = {name: row[name][number] for name in ("gt_joints_2d", "gt_joints_3d") if _is_list(row, name, number)}
    try:
        pair = numbers(own, "gt_joints_2d", (None, 2)), numbers(own, "gt_joints_3d", (None, 3))
    except RowError:
        return None
    places, points = (joints[:NUM_JOINTS] for joints in pair)
    return (places, points) if len(places) == len(points) == NUM_JOINTS else None


def _vertices(row: Mapping[str, Any], number: int) -> np.ndarray | None:
    if not _is_list(row, "gt_verts", number):
        return None
    try:
        return numbers({"gt_verts": row["gt_verts"][number]}, "gt_verts", (None, 3)).astype(np.float32)
    except RowError:
        return None


def _is_list(row: Mapping[str, Any], name: str, number: int) -> bool:
    return isinstance(row.get(name), list) and number < len(row[name])


def _values(row: Mapping[str, Any], name: str, count: int, unknown: float) -> np.ndarray:
    """(T,) numbers of a list of the row; the unknown one where it is no list of so many."""
    values = row.get(name)
    if not isinstance(values, list | np.ndarray) or len(values) != count:
        return np.full(count, unknown)
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        return np.full(count, unknown)
