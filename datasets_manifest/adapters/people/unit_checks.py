"""What the first people of a data set say of its units: a wrong one stops the listing before a photo is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.people.checks_3d import check_points_3d
from datasets_manifest.adapters.people.values import UnitError
from datasets_manifest.adapters.point_checks import check_order

_MIN_POINTS = 5
_MAX_RATIO = 40.0
"""Side of a box over the extent of its points, and its inverse: 1.2 where both are of one person."""
_ONE_PX = 0.02
_MIN_PEOPLE = 4
"""Few enough to be off by one alike by chance."""


def check_people(people: Sequence[PersonRecord], source: str) -> None:
    """Stops where the first people of a data set are in another unit, or their points in another order.

    Args:
        people: The first of them.
        source: What they come from, in an error.

    Raises:
        ValueError: The median box is far larger or smaller than its person's points, as by the factor 200 between
            pixels and a scale; the centres of boxes lie one pixel right of and below the middle of the points, all
            alike; points are in another order than they are said to be in; or points in 3D are wrong as
            ``check_points_3d`` says.
    """
    known = [(person.bbox_xyxy, extent) for person in people if (extent := _extent(person)) is not None]
    boxes = [(box, extent) for box, extent in known if box is not None]
    if boxes:
        _check_boxes(np.stack([box for box, _ in boxes]), np.stack([extent for _, extent in boxes]), source)
    check_points_3d(people, source)
    check_order(people, source, "Correct the layout in the manifest: the points are another set than it says.")


def check_scale(scales: np.ndarray, *, in_pixels: bool, source: str) -> None:
    """Stops where scales are in the other of the two units that there are: pixels, or 200 pixels.

    Args:
        scales: (N,) or (N, 2).
        in_pixels: Whether they must be pixels.
        source: What they come from, in an error.

    Raises:
        UnitError: Their median is that of the other unit.
    """
    median = float(np.median(scales)) if np.size(scales) else np.nan
    if (in_pixels and median < _SCALE_OR_PIXELS) or (not in_pixels and median >= _SCALE_OR_PIXELS):
        units = ("pixels", "200 pixels")
        expected, came = units if in_pixels else units[::-1]
        raise UnitError(
            f"{source}: the median of scale is {median:.4g}, in units of {came}, where files of this family have "
            f"{expected}: it is of another; correct layout.family in the manifest."
        )


_SCALE_OR_PIXELS = 20.0
"""Medians below are scales, of people of 4000 px at most; those above are pixels."""


def _extent(person: PersonRecord) -> np.ndarray | None:
    """(4,) xyxy of the points, None where they are too few or on one spot."""
    if person.keypoints is None:
        return None
    points = [person.keypoints[person.keypoints[:, 2] > 0, :2]]
    points += [point[None, :2] for point in person.other_points.values() if point[2] > 0]
    known = np.concatenate(points).astype(np.float64)
    if len(known) < _MIN_POINTS or not np.ptp(known, axis=0).max() > 0:
        return None
    return np.concatenate([known.min(axis=0), known.max(axis=0)])


def _check_boxes(boxes: np.ndarray, extents: np.ndarray, source: str) -> None:
    boxes = boxes.astype(np.float64)
    sides = [(xyxy[:, 2:] - xyxy[:, :2]).max(axis=1) for xyxy in (boxes, extents)]
    ratio = float(np.median(sides[0] / sides[1]))
    if not 1 / _MAX_RATIO <= ratio <= _MAX_RATIO:
        raise UnitError(
            f"{source}: boxes are {ratio:.3g} times as large as the points of their people (median of {len(boxes)}), "
            "expected about 1.2: the scale is in another unit (pixels, or 200 pixels) than these files have; correct "
            "the layout in the manifest."
        )
    offsets = (boxes[:, :2] + boxes[:, 2:] - extents[:, :2] - extents[:, 2:]) / 2
    if len(boxes) >= _MIN_PEOPLE and np.median(np.abs(offsets - 1).max(axis=1)) < _ONE_PX:
        raise UnitError(
            f"{source}: the centres of boxes lie 1 px right of and below the middle of their people's points (median "
            f"of {len(boxes)}): they count pixels from 1, the points from 0; subtract 1 from center where the file was "
            "made."
        )
