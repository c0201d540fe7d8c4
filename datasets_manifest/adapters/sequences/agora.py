"""AGORA: rows of photos, each with lists of people, whose joints are known in 2D at 3840 x 2160 and in 3D in the
camera.

The files are DataFrames of pandas. What is read is the list of their rows as dicts; the sentence that refuses a
DataFrame says how to write it. People who are not valid are left out, and are no false finds where somebody finds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError, is_text
from datasets_manifest.adapters.people.reading import people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_around, gender_of, numbers, placed, truth, with_hand_roots
from datasets_manifest.adapters.sequences.agora_bodies import smplx_parameters
from datasets_manifest.adapters.sequences.layout import SequencePickleLayout
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import HUMANDATA, SMPL_24, KeypointSet
from datasets_manifest.schema.truth_3d import Truth3d

_WIDTH, _HEIGHT = 3840, 2160
_SMALLER = 3
"""Times that the small pictures are smaller."""
_NUM_SMPLX, _NUM_SMPL = 127, 24
_OF_PEOPLE = ("gt_joints_2d", "gt_joints_3d", "gt_path_smplx", "Yaw", "kid", "gender")
_WIDENED = 1.2
"""A box over the extent of its joints."""
_SENSOR_MM = 36.0
_FOCAL_MM = (("hdri", 50.0), ("_cam00", 18.0), ("_cam01", 18.0), ("_cam02", 18.0), ("_cam03", 18.0), ("", 28.0))
"""What the name of a photo holds -> focal length; the first that it holds."""
_MAX_RESIDUAL = 0.02
"""Of 3D joints seen by a camera against the 2D ones, as a share of the person."""


def entries(
    content: Any, name: str, layout: SequencePickleLayout, read: Callable[[str], Any] | None = None
) -> Iterator[Entry]:
    """Photos in the order of the rows, with the bodies that ``read`` gives by the names of their pickles.

    Raises:
        RowError: The content is no list of rows.
    """
    if not isinstance(content, list):
        raise RowError("expected a list of rows, each a dict.")
    shrink = _SMALLER if layout.small_pictures else 1
    left_out: Counter[str] = Counter()
    for number, row in enumerate(content):
        picture = row.get("imgPath") if isinstance(row, dict) else None
        if not isinstance(picture, str) or not is_text(picture):
            where = f"{name} row {number}"
            yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, "its imgPath is no name that can be read.")
            continue
        valid = valid_flags(row)
        own_rows = [_own(row, k, shrink) for k in range(len(valid))]
        if layout.bodies is not None and read is not None:
            for one, is_valid in zip(own_rows, valid, strict=True):
                one["body"] = partial(smplx_parameters, one, read, layout.bodies) if is_valid else None
        rows = [(own_rows[k], f"row {number} person {k}") for k in range(len(valid))]
        problems, people = people_or_reasons(_person, rows, name)
        kept = [(person, problem) for person, problem, is_valid in zip(people, valid, valid, strict=True) if is_valid]
        left_out["people who are not valid left out"] += len(people) - len(kept)
        names = {f"{name} {rows[k][1]}" for k, is_valid in enumerate(valid) if is_valid}
        yield from (problem for problem in problems if problem.path in names)
        own = PurePosixPath(picture)
        stem = f"{own.stem}_{_WIDTH // shrink}x{_HEIGHT // shrink}" if layout.small_pictures else own.stem
        width = _WIDTH // shrink
        yield ImageRecord(
            image_id=own.stem,
            path=photo_path(layout.images, f"{stem}{own.suffix}"),
            people=tuple(person for person, _ in kept),
            width=width,
            height=_HEIGHT // shrink,
            focal_px=next(focal for word, focal in _FOCAL_MM if word in own.stem) / _SENSOR_MM * width,
            principal_px=(width / 2, _HEIGHT / shrink / 2),
            ignore_regions=tuple(
                _corners(person.bbox_xyxy)
                for person, is_valid in zip(people, valid, strict=True)
                if not is_valid and person.bbox_xyxy is not None
            ),
        )
    yield from (LeftOut(what, number) for what, number in left_out.items())


def valid_flags(row: Mapping[str, Any]) -> list[bool]:
    """Who is valid; everybody where nothing is said of it."""
    joints, valid = row.get("gt_joints_2d"), row.get("isValid")
    count = len(joints) if isinstance(joints, list) else 0
    if isinstance(valid, list | np.ndarray) and len(valid) == count:
        return [bool(flag) for flag in valid]
    return [True] * count


def _own(row: Mapping[str, Any], number: int, shrink: int) -> dict[str, Any]:
    """What the lists of a row say of one person."""
    own = {name: _at(row.get(name), number) for name in _OF_PEOPLE}
    return own | {"shrink": shrink, "imgPath": row["imgPath"], "camYaw": row.get("camYaw")}


def _at(values: Any, number: int) -> Any:
    """An entry of a list; None where there is no list, or none so long."""
    is_list = isinstance(values, list) or (isinstance(values, np.ndarray) and values.ndim > 0)
    return values[number] if is_list and number < len(values) else None


def _person(row: Mapping[str, Any], index: int) -> PersonRecord:
    joints = numbers(row, "gt_joints_2d", (None, 2)) / row["shrink"]
    own = _joints(len(joints))
    joints = joints[: len(own.points)]
    found = placed(np.concatenate([joints, np.ones((len(joints), 1))], axis=1), own)
    low, high = joints.min(axis=0), joints.max(axis=0)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around((low + high) / 2, (high - low) * _WIDENED),
        keypoints=with_hand_roots(found.placed),
        other_points=found.others,
        truth_3d=_truth(row, joints, own),
    )


def _joints(count: int) -> KeypointSet:
    """SMPL-X's 127 joints and points, or SMPL's 24, whatever follows them."""
    if count >= _NUM_SMPLX:
        return _SMPLX
    if count >= _NUM_SMPL:
        return SMPL_24
    raise RowError(f"gt_joints_2d has {count} joints, expected {_NUM_SMPLX} of SMPL-X or {_NUM_SMPL} of SMPL and more.")


def _truth(row: Mapping[str, Any], joints: np.ndarray, own: KeypointSet) -> Truth3d | None:
    if row.get("gt_joints_3d") is None:
        return None
    places = numbers(row, "gt_joints_3d", (None, 3))[: len(own.points)]
    if len(places) < len(own.points):
        raise RowError(f"gt_joints_3d has {len(places)} joints, gt_joints_2d {len(own.points)}.")
    _check_projection(places, joints)
    found = placed(np.concatenate([places, np.ones((len(places), 1))], axis=1), own)
    body = row.get("body")
    return truth(
        "camera",
        model="smplx",
        parameters={} if body is None else body(),
        gender=gender_of(row),
        keypoints_m=with_hand_roots(found.placed),
        other_points_m=found.others,
    )


def _check_projection(places: np.ndarray, joints: np.ndarray) -> None:
    """Refuses joints (N, 3) that no camera with x right, y down and z forward sees at (N, 2) px."""
    seen = places[:, :2] / np.where(places[:, 2:] > 0, places[:, 2:], np.nan)
    residual = np.inf
    if np.isfinite(seen).all():
        fits = [np.polyfit(seen[:, axis], joints[:, axis], 1) for axis in (0, 1)]
        if min(fit[0] for fit in fits) > 0:
            off = np.stack([np.polyval(fit, seen[:, axis]) - joints[:, axis] for axis, fit in enumerate(fits)])
            residual = float(np.abs(off).max() / np.ptp(joints, axis=0).max())
    if residual > _MAX_RESIDUAL:
        raise RowError(
            "gt_joints_3d are not where a camera (x right, y down, z forward) sees gt_joints_2d: they are in another "
            "frame, or of another person."
        )


def _corners(box: np.ndarray) -> np.ndarray:
    """(4, 2) px."""
    left, top, right, bottom = box.tolist()
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


_SMPLX = KeypointSet(points=HUMANDATA.points[:_NUM_SMPLX], wholebody=HUMANDATA.wholebody[:_NUM_SMPLX])
