"""Values of published records: arrays of the shape they must have, boxes, and points put in their places.

Legend: N points of a set; the last column of points is a confidence, the others x, y (px) or x, y, z (m).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_args

import numpy as np

from datasets_manifest.adapters.coco_values import RowError, are_usable
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KeypointSet
from datasets_manifest.schema.truth_3d import FrameName, GenderName, ModelName, Truth3d

NUM_PLACES = 133
_SPREADS = {"centimetres": (30.0, 200.0, 100), "millimetres": (200.0, 4000.0, 1000)}
"""Unit -> spreads of the points of one person that are in it, were they said to be metres, and how many are a metre."""
_SHORT_WORD = 60


class UnitError(ValueError):
    """The data set is in another unit than its manifest says: nothing of it can be used as it is."""


def numbers(record: Mapping[str, Any], name: str, *shapes: tuple[int | None, ...]) -> np.ndarray:
    """A float64 array of one of the shapes, None for any number; a number alone has the shape ().

    Raises:
        RowError: It is missing, no numbers, of another shape, or holds a value that is not finite.
    """
    if record.get(name) is None:
        raise RowError(f"{_expected(name, shapes)}, got none.")
    try:
        array = np.array(record[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RowError(f"{_expected(name, shapes)}, got {str(record[name])[:_SHORT_WORD]!r}.") from error
    if array.shape not in shapes and not any(_fits(array.shape, shape) for shape in shapes):
        raise RowError(f"{_expected(name, shapes)}, got {_shown(array.shape)}.")
    if not are_usable(array):
        raise RowError(f"{name} holds a value that is not finite, or above 1e9.")
    return array


def is_set(record: Mapping[str, Any], name: str) -> bool:
    """Whether a flag is there and true; it may be a number, or an array of one."""
    return record.get(name) is not None and bool(numbers(record, name, (), (1,)).any())


def box_around(center_px: np.ndarray, side_px: np.ndarray) -> np.ndarray:
    """(4,) float32 xyxy of a box by its centre (2,) and its side, or width and height (2,)."""
    sides = np.asarray(side_px).ravel().tolist()
    width, height = sides[0], sides[-1]
    if width <= 0 or height <= 0:
        raise RowError(f"the box is {width:g} px wide and {height:g} px high.", ErrorCode.BOX_INVALID)
    x, y = center_px.tolist()
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)


def box_of(values: np.ndarray, form: str) -> np.ndarray:
    """(4,) float32 xyxy of four numbers in the form xyxy or xywh."""
    if form not in ("xyxy", "xywh"):
        raise RowError(f"the box is in the form {str(form)[:_SHORT_WORD]!r}, expected xyxy or xywh.")
    corner = values[2:] if form == "xyxy" else values[:2] + values[2:]
    return box_around((values[:2] + corner) / 2, corner - values[:2])


def without_margin(box_xyxy: np.ndarray, factor: float) -> np.ndarray:
    """(4,) float32 xyxy of a person whose box is larger by a factor, about the same centre."""
    low, high = box_xyxy[:2].astype(np.float64), box_xyxy[2:].astype(np.float64)
    return box_around((low + high) / 2, (high - low) / factor)


class PlacedPoints(NamedTuple):
    """Points of a set, told apart by whether they are among the 133."""

    placed: np.ndarray
    """(133, C) float32; zeros where the set has none or is not confident."""
    others: dict[str, np.ndarray]
    """The confident others by name, (C,) float32."""


def placed(points: np.ndarray, own: KeypointSet) -> PlacedPoints:
    """Points (N, C) of a set, each in its place. Of two of one place the more confident is taken, the later of equals:
    sets that have one twice tell what was detected before what was annotated. Confidence is cut to 0..1."""
    none = len(points)
    rows = np.zeros((none + 1, points.shape[1]), np.float32)  # The last stands wherever there is no point.
    rows[:none] = points
    confidence = rows[:, -1] = np.minimum(rows[:, -1], 1.0)
    places, left = _places(own)
    order = confidence.argsort(kind="stable")  # The last that is written stays.
    sources = np.full(NUM_PLACES + 1, none)
    sources[np.where(confidence > 0, places, NUM_PLACES).take(order)] = order
    known = zip(left.tolist(), confidence.take(left).tolist(), strict=True)
    others = {own.points[k]: rows[k] for k, score in known if score > 0}
    return PlacedPoints(rows.take(sources[:NUM_PLACES], axis=0), others)


def with_hand_roots(points: np.ndarray) -> np.ndarray:
    """(133, C) with the wrists as the roots of hands too, for sets that have one point for both."""
    points[[91, 112]] = points[[9, 10]]
    return points


def gender_of(record: Mapping[str, Any]) -> GenderName:
    """Of the body model, by ``gender``; neutral where it is not said.

    Raises:
        RowError: It is said in another way than m, f, n or the whole word.
    """
    said = record.get("gender")
    said = said.item() if isinstance(said, np.ndarray) and said.size == 1 else said
    word = (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")).strip().lower()
    for gender in get_args(GenderName):
        if word in (gender, gender[0]) or (not word and gender == "neutral"):
            return gender
    raise RowError(f"the gender is {word[:_SHORT_WORD]!r}, expected m, f, n or the whole word.")


def check_metres(points: np.ndarray, whose: str) -> None:
    """Stops where points (N, 4) of a person, known where the last column is positive, are no metres.

    Raises:
        UnitError: So far apart are no metres, and as centimetres or millimetres they are a person.
    """
    known = points[points[:, 3] > 0, :3]
    spread = float((np.maximum.reduce(known) - np.minimum.reduce(known)).max()) if len(known) else 0.0
    for unit, (low, high, factor) in _SPREADS.items():
        if low < spread <= high:
            raise UnitError(
                f"{whose}: the 3D points of one person are {spread:.4g} apart, where metres are expected: they are "
                f"{unit}; divide them by {factor} where the file was made, or say the unit in the layout where it has "
                "one."
            )


def truth(frame: FrameName, *, model: ModelName | None = None, **known: Any) -> Truth3d:
    """3D truth of a person, its fields as those of ``Truth3d``; parameters become float32.

    Raises:
        RowError: A value is none that a person may have.
    """
    parameters = {name: np.asarray(v, np.float32) for name, v in known.pop("parameters", {}).items()}
    try:
        return Truth3d(frame=frame, model=model if parameters else None, parameters=parameters, **known)
    except ValueError as error:
        raise RowError(f"{error}.") from error


@cache
def _places(own: KeypointSet) -> tuple[np.ndarray, np.ndarray]:
    """(N + 1,) place of each point and, at the end, of none, one behind the last without a place; and the numbers of
    those without."""
    places = np.array([*(NUM_PLACES if k is None else k for k in own.wholebody), NUM_PLACES], dtype=np.int64)
    return places, np.flatnonzero(places[:-1] == NUM_PLACES)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))


def _expected(name: str, shapes: tuple[tuple[int | None, ...], ...]) -> str:
    return f"{name} must be {' or '.join(map(_shown, shapes))} numbers"


def _shown(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if n is None else str(n) for n in shape) or "1"
