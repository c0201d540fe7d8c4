"""What the points in 3D of the first people say of their unit and of how they are turned.

Legend: P people, N points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.adapters.people.values import UnitError

_LIMBS = {"thighs": ((11, 13), (12, 14)), "upper arms": ((5, 7), (6, 8))}
"""Pairs of the 133 points, left and right: between hip and knee, shoulder and elbow."""
_LENGTHS_M = (0.08, 0.8)
"""Of a child of a year and of the tallest people, with room for points that are not quite there."""
_MIN_PEOPLE = 4
_MIN_POINTS = 5
_MIN_SPREAD_M = 0.1
"""Standard deviation along an axis of points that can be told from noise."""
_ALIKE = 0.5
"""Correlation along an axis of points in 3D with those in the photo, .9 and more where both are of one person."""
_MIN_SHARE = 0.6
"""Of people whose points are alike: nearly all, a quarter by chance."""


def check_points_3d(people: Sequence[PersonRecord], source: str) -> None:
    """Stops where points in 3D are in another unit than metres, or turned otherwise than the camera.

    Args:
        people: The first of a data set.
        source: What they come from, in an error.

    Raises:
        UnitError: Limbs are longer or shorter in the median than those of people, or points that are said to be turned
            as the camera are not where the photo shows them.
    """
    _check_lengths(people, source)
    _check_turn(people, source)


def _check_lengths(people: Sequence[PersonRecord], source: str) -> None:
    known = [p.truth_3d.keypoints_m for p in people if p.truth_3d is not None and p.truth_3d.keypoints_m is not None]
    points = np.stack(known).astype(np.float64) if known else np.zeros((0, 133, 4))
    low, high = _LENGTHS_M
    for name, limbs in _LIMBS.items():
        ends = points[:, np.array(limbs).T].swapaxes(0, 1)  # (2, P, 2, 4)
        lengths = np.linalg.norm(ends[0, ..., :3] - ends[1, ..., :3], axis=-1)[(ends[..., 3] > 0).all(0)]
        if len(lengths) >= _MIN_PEOPLE and not low <= (median := float(np.median(lengths))) <= high:
            raise UnitError(
                f"{source}: {name} of the points in 3D are {median:.3g} long in the median of {len(lengths)}, expected "
                f"{low:g} to {high:g} m: they are in another unit than metres, or in another order than they are said "
                "to be in; correct the layout in the manifest, or the file."
            )


def _check_turn(people: Sequence[PersonRecord], source: str) -> None:
    for number, axis in enumerate(("x", "y")):
        alike = [own for person in people if (own := _alike(person, number)) is not None]
        if len(alike) >= _MIN_PEOPLE and (going := sum(own > _ALIKE for own in alike)) < _MIN_SHARE * len(alike):
            raise UnitError(
                f"{source}: along {axis} the points in 3D go with those in the photo for {going} of {len(alike)} "
                "people of whom it can be told: they are not turned as the camera of the photo (x right, y down, "
                "z forward); correct the layout in the manifest, where points_3d: null leaves them to evaluation."
            )


def _alike(person: PersonRecord, axis: int) -> float | None:
    """Correlation of points in 3D with those in the photo, None where it cannot be told."""
    truth, seen = person.truth_3d, person.keypoints
    if truth is None or seen is None or truth.keypoints_m is None or truth.frame != "camera" or not truth.points_turned:
        return None
    known = (truth.keypoints_m[:, 3] > 0) & (seen[:, 2] > 0)
    places, shown = truth.keypoints_m[known, axis].astype(np.float64), seen[known, axis].astype(np.float64)
    if len(places) < _MIN_POINTS or places.std() < _MIN_SPREAD_M or not shown.std() > 0:
        return None
    return float(np.corrcoef(places, shown)[0, 1])
