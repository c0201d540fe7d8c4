"""Families of .npz files with a row a person: which arrays they have, and what a row of them is.

Legend: N rows, K points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.people.hmr2 import BOX_FACTOR, PIXELS_OF_SCALE, smpl_pose, truth_of
from datasets_manifest.adapters.people.values import (
    box_around,
    box_of,
    check_metres,
    gender_of,
    is_set,
    numbers,
    placed,
    truth,
    with_hand_roots,
)
from datasets_manifest.schema.keypoint_sets import (
    HMR2_44,
    HUMANDATA,
    KEYPOINT_SETS,
    OPENPOSE_25,
    KeypointSet,
)
from datasets_manifest.schema.truth_3d import Truth3d

Person = Callable[[Mapping[str, Any], int, str, KeypointSet], PersonRecord]
"""A person of a row by its arrays, its number in the photo, its name in an error, and what its points are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What files of one kind have."""

    image: str
    """Array of the names of photos."""
    arrays: tuple[str, ...]
    """The others that are read, where they are; everything else in the file is left alone."""
    person: Person
    points: KeypointSet | None
    """What its 2D points are where the manifest does not say; None = it has to."""
    scale_in_pixels: bool | None = None
    """Unit of ``scale``; None for boxes."""
    box_factor: float = 1.0
    """By how much boxes are larger than people."""


_OF_MARKERS = tuple(
    KEYPOINT_SETS[name]
    for name in ("human36m", "human36m_mmpose", "human36m_spin", "mpi_inf_3dhp", "mpi_inf_3dhp_test")
)
"""Sets whose points in 3D lie inside the body."""


def _hmr2(row: Mapping[str, Any], index: int, where: str, own: KeypointSet) -> PersonRecord:
    pairs = (("body_keypoints", 25), ("extra_keypoints", 19))
    points = np.concatenate([numbers(row, f"{name}_2d", (count, 3)) for name, count in pairs])
    has_3d = all(f"{name}_3d" in row for name, _ in pairs)
    points_3d = [numbers(row, f"{name}_3d", (count, 4)) for name, count in pairs] if has_3d else None
    found = placed(points, own)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around(numbers(row, "center", (2,)), numbers(row, "scale", (), (1,), (2,))),
        keypoints=found.placed,
        other_points=found.others,
        truth_3d=truth_of(row, points_3d and np.concatenate(points_3d), where, gender=gender_of(row)),
    )


def _spin(row: Mapping[str, Any], index: int, where: str, own: KeypointSet) -> PersonRecord:
    points, both = numbers(row, "part", (len(own.points), 3)), own
    if "openpose" in row:
        points = np.concatenate([numbers(row, "openpose", (25, 3)), points])
        both = _behind_openpose(own)
    found = placed(points, both)
    return PersonRecord(
        index=index,
        bbox_xyxy=_scaled_box(row),
        keypoints=found.placed,
        other_points=found.others,
        truth_3d=_spin_truth(row, where, own),
    )


@cache
def _behind_openpose(own: KeypointSet) -> KeypointSet:
    detected = tuple(f"openpose_{name}" for name in OPENPOSE_25.points)
    return KeypointSet(points=detected + own.points, wholebody=OPENPOSE_25.wholebody + own.wholebody)


def _spin_truth(row: Mapping[str, Any], where: str, own: KeypointSet) -> Truth3d | None:
    parameters: dict[str, np.ndarray] = {}
    if "pose" in row and (is_set(row, "has_smpl") or "has_smpl" not in row):
        parameters = smpl_pose(numbers(row, "pose", (72,))) | {"betas": numbers(row, "shape", (10,))}
    keypoints, others = None, {}
    if "S" in row:
        points = numbers(row, "S", (len(own.points), 4))
        check_metres(points, where)
        keypoints, others = placed(points, own)
    if not parameters and (keypoints is None or not keypoints.any()):
        return None
    return truth(
        "camera",
        model="smpl",
        parameters=parameters,
        gender=gender_of(row),
        keypoints_m=keypoints,
        other_points_m=others,
        points_are="joints" if own in _OF_MARKERS else "keypoints",
        root_relative=True,
        points_turned=False,
    )


def _camerahmr(row: Mapping[str, Any], index: int, where: str, own: KeypointSet) -> PersonRecord:
    found = placed(numbers(row, "gtkps", (len(own.points), 3)), own)
    pose = next((name for name in ("pose_cam", "pose") if name in row), None)
    known = None
    if pose is not None and "shape" in row:
        parameters = smpl_pose(numbers(row, pose, (72,))) | {"betas": numbers(row, "shape", (None,))}
        if "trans_cam" in row:
            parameters["transl"] = numbers(row, "trans_cam", (3,))
        known = truth("camera", model="smpl", parameters=parameters, root_relative="transl" not in parameters)
    return PersonRecord(
        index=index,
        bbox_xyxy=_scaled_box(row),
        keypoints=found.placed,
        other_points=found.others,
        truth_3d=known,
    )


def _humandata(row: Mapping[str, Any], index: int, where: str, own: KeypointSet) -> PersonRecord:
    points = next((name for name in KEYPOINTS_OF_HUMANDATA if name in row), None)
    found = None if points is None else placed(numbers(row, points, (len(own.points), 3)), own)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_of(numbers(row, "bbox_xywh", (4,), (5,))[:4], "xywh"),
        keypoints=None if found is None else with_hand_roots(found.placed),
        other_points={} if found is None else found.others,
        truth_3d=_humandata_truth(row),
    )


def _humandata_truth(row: Mapping[str, Any]) -> Truth3d | None:
    for model in ("smplx", "smpl"):
        stored = {name.removeprefix(f"{model}/"): name for name in row if name.startswith(f"{model}/")}
        parameters = {name: np.ravel(numbers(row, key, (None,), (None, 3))) for name, key in stored.items()}
        if parameters:
            return truth(
                "camera",
                model=model,
                parameters=parameters,
                hands_from="flat" if row.get(FLAT_HANDS) else "relaxed",
                gender=gender_of({"gender": row.get("meta/gender")}),
                root_relative="transl" not in parameters,
            )
    return None


def _scaled_box(row: Mapping[str, Any]) -> np.ndarray:
    return box_around(numbers(row, "center", (2,)), numbers(row, "scale", (), (1,), (2,)) * PIXELS_OF_SCALE)


def points_of(family: Family, name: str | None, given: np.ndarray | None) -> KeypointSet:
    """What the points of a file are.

    Args:
        family: Of the file.
        name: As the manifest says, None if it does not.
        given: (N, K, C) the file's points, None where it has none.

    Raises:
        ValueError: It has to be said, or what is said has another number of points.
    """
    count = None if given is None or given.ndim != 3 else given.shape[1]
    own = family.points if name is None else KEYPOINT_SETS[name]  # pyright: ignore[reportArgumentType]
    if own is None:
        own = next((known for known in (HMR2_44,) if len(known.points) == count), None)
    if own is None or (count is not None and count != len(own.points)):
        has = f"the file has {count} points a person" if count else "the file does not say what its points are"
        told = "" if own is None else f", not the {len(own.points)} of {name or 'the family'}"
        raise ValueError(
            f"{has}{told}; say which set they are by layout.keypoint_set, one of {', '.join(KEYPOINT_SETS)}."
        )
    return own


FLAT_HANDS = "flat_hand_mean"
"""In a row of HumanData: whether its hands turn from the flat hand."""
KEYPOINTS_OF_HUMANDATA = ("keypoints2d_original", "keypoints2d_smplx", "keypoints2d", "keypoints2d_smpl")
"""As annotated, before as projected."""
FAMILIES: dict[str, Family] = {
    "hmr2": Family(
        image="imgname",
        arrays=(
            *("center", "scale", "body_keypoints_2d", "extra_keypoints_2d", "body_keypoints_3d", "extra_keypoints_3d"),
            *("body_pose", "betas", "has_body_pose", "has_betas", "gender"),
        ),
        person=_hmr2,
        points=HMR2_44,
        scale_in_pixels=True,
        box_factor=BOX_FACTOR,
    ),
    "spin": Family(
        image="imgname",
        arrays=("center", "scale", "part", "openpose", "S", "pose", "shape", "has_smpl", "gender"),
        person=_spin,
        points=KEYPOINT_SETS["spin24"],
        scale_in_pixels=False,
        box_factor=BOX_FACTOR,
    ),
    "camerahmr": Family(
        image="imgname",
        arrays=("center", "scale", "gtkps", "pose_cam", "pose", "shape", "trans_cam", "cam_int"),
        person=_camerahmr,
        points=None,
        scale_in_pixels=False,
    ),
    "humandata": Family(image="image_path", arrays=(), person=_humandata, points=HUMANDATA),
}
"""By the name that the manifest says. What HumanData has lies nested, see ``npz_rows``."""
