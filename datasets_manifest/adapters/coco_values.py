"""Values of COCO rows: taken as they are meant, or one sentence says what was expected and what came.

Ids are whole numbers. Some writers make them floats or texts: ``1``, ``1.0`` and ``"1"`` are the same id. Coordinates
and flags are plain numbers; a text, null or NaN among them is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KeypointSet

MAX_NUMBER = 1e9
"""A coordinate or size at or above this is a slip of the annotation; it would not fit its column."""

HIDDEN_SCORE = 0.5
"""Score of a point that is labelled but hidden; 1 is visible, 0 is not labelled."""

_DIGITS = re.compile(r"-?[0-9]{1,30}")
_MAX_EXACT = 2**53
"""Whole floats at or above may have been another number before."""


class RowError(Exception):
    """A row that cannot be used."""

    def __init__(self, detail: str, code: ErrorCode = ErrorCode.SOURCE_ROW_INVALID) -> None:
        super().__init__(detail)
        self.code = code


def whole_number(row: Any, name: str) -> int:
    """A whole number, also one written as a float or text.

    Raises:
        RowError: The row is no object, or the value is missing or anything else.
    """
    if not isinstance(row, dict):
        raise RowError(f"expected an object with {name}, got {shown(row)}.")
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise RowError(f"{name} must be a whole number, got {shown(value) if name in row else 'none'}.")


def size_px(row: Mapping[str, Any], name: str) -> int | None:
    """Width or height, None if the row has none or one that makes no sense."""
    try:
        value = whole_number(row, name)
    except RowError:
        return None
    return value if 0 < value < MAX_NUMBER else None


def is_text(value: Any) -> bool:
    """Whether a value is a text that a file name and a Parquet column can hold."""
    # JSON can spell half a surrogate pair.
    return isinstance(value, str) and bool(value) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def is_crowd(row: Mapping[str, Any]) -> bool:
    """Whether an annotation is of a crowd."""
    return bool(row.get("iscrowd")) and row["iscrowd"] != "0"


def box_xyxy(row: Mapping[str, Any]) -> np.ndarray:
    """(4,) float32 of the row's x, y, width, height."""
    x, y, width, height = numbers(row, "bbox", 4, "x, y, width, height")
    if width <= 0 or height <= 0:
        raise RowError(f"the box is {width} px wide and {height} px high.", ErrorCode.BOX_INVALID)
    return np.array([x, y, x + width, y + height], dtype=np.float32)


def ignored_regions(image: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Polygons (N, 2) px whose people are not annotated, as PoseTrack writes them: x and y apart, in lists of polygons
    or, of a single one, of numbers."""
    sides = [image.get(f"ignore_regions_{axis}") or [] for axis in "xy"]
    sides = [[side] if isinstance(side, list) and side and not isinstance(side[0], list) else side for side in sides]
    if not all(isinstance(side, list) for side in sides) or len(sides[0]) != len(sides[1]):
        raise RowError("ignore_regions_x and ignore_regions_y must be as many polygons.")
    regions = []
    for number, pair in enumerate(zip(*sides, strict=True)):
        if not all(isinstance(side, list) for side in pair) or len(pair[0]) != len(pair[1]):
            raise RowError(f"its ignored region {number} must have as many x as y.")
        named = {"x": pair[0], "y": pair[1]}
        regions.append(np.stack([numbers(named, axis, len(pair[0]), "of an ignored region") for axis in "xy"], 1))
    return tuple(region for region in regions if len(region) > 2)


def are_usable(values: np.ndarray) -> bool:
    """Whether all of some floats are finite, and below 1e9."""
    # A NaN is the largest of whatever it is among, and below nothing.
    return bool(np.maximum.reduce(np.abs(values), axis=None, initial=0) < MAX_NUMBER)


def triplets(row: Mapping[str, Any], name: str, count: int) -> np.ndarray:
    """(count, 3) float32 as written."""
    return numbers(row, name, 3 * count, f"{count} points of x, y, flag").reshape(count, 3)


def flagged(points: np.ndarray, name: str, visible_flag: int = 2, known: Sequence[int] = (0, 1, 2)) -> np.ndarray:
    """(N, 3) with COCO's flag 0, 1, 2, or other known ones -> (N, 3) with a score; points that are not labelled become
    zero."""
    flags = points[:, 2]
    if wrong := [k for k, flag in enumerate(flags.tolist()) if flag not in known]:
        expected = ", ".join(map(str, known[:-1])) + f" or {known[-1]}"
        raise RowError(
            f"the flag of point {wrong[0]} of {name} must be {expected}, got {flags[wrong[0]]:g}; if it is a "
            "confidence, say so by layout.flags: score."
        )
    return _masked(points, np.where(flags >= visible_flag, 1.0, HIDDEN_SCORE * flags))


def scored(points: np.ndarray) -> np.ndarray:
    """(N, 3) with a confidence -> (N, 3) with a score 0..1."""
    return _masked(points, np.minimum(np.maximum(points[:, 2], 0.0), 1.0))


def in_wholebody(points: np.ndarray, own: KeypointSet) -> np.ndarray:
    """(N, 3) of a set -> (133, 3); zeros where it has no point."""
    rows = np.zeros((len(points) + 1, 3), dtype=np.float32)  # The last stands wherever there is no point.
    rows[:-1] = points
    return rows.take(_sources(own), axis=0)


@cache
def _sources(own: KeypointSet) -> np.ndarray:
    """(133,) number of the set's point of each, the number of its points where it has none."""
    points = {index: point for point, index in enumerate(own.wholebody) if index is not None}
    return np.array([points.get(index, len(own.points)) for index in range(133)], np.int64)


def shown(value: Any) -> str:
    """A value as the file has it, cut if it is long."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _masked(points: np.ndarray, score: np.ndarray) -> np.ndarray:
    found = points.astype(np.float32)
    found[:, 2] = score
    found[score <= 0, :2] = 0.0
    return found


def numbers(row: Mapping[str, Any], name: str, count: int, meaning: str) -> np.ndarray:
    """(count,) float32 of a JSON list of plain numbers."""
    values = row.get(name)
    expected = f"{name} must be {count} numbers ({meaning})"
    if not isinstance(values, list):
        raise RowError(f"{expected}, got {shown(values) if name in row else 'none'}.")
    if len(values) != count:
        raise RowError(f"{expected}, got {len(values)}.")
    if set(map(type, values)) <= {int, float}:
        with suppress(OverflowError):
            found = np.array(values, dtype=np.float64)
            if are_usable(found):
                return found.astype(np.float32)
    first = next(i for i, v in enumerate(values) if type(v) not in (int, float) or not abs(v) < MAX_NUMBER)
    raise RowError(f"{expected} below 1e9, but number {first} is {shown(values[first])}.")
