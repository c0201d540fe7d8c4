"""What the points of the first people say of their order, and of where pixels are counted from: a wrong one stops the
listing, before anything is planned and long before a body is fitted to hips that are knees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, PersonRecord

_PEOPLE = 256
"""That are looked at."""
_MAX_HELD = 2000
"""Entries that are held back at most until so many people were seen."""
_MIN_PEOPLE = 8
"""Of whom a relation has to be plain."""
_PLAIN = 0.03
"""Share by which the sums of distances to one's own side and to the other differ where sides can be told."""
_MIN_SHARE = 0.4
"""Of people for whom a relation holds: 0.75 and more where points are what they are called, half by chance."""
_PAIRS = {
    "hips are nearer to the shoulders of their own side": (11, 12, 5, 6),
    "elbows are nearer to the shoulders of their own side": (7, 8, 5, 6),
    "wrists are nearer to the elbows of their own side": (9, 10, 7, 8),
    "knees are nearer to the hips of their own side": (13, 14, 11, 12),
    "ankles are nearer to the knees of their own side": (15, 16, 13, 14),
}
"""Relation -> left, right, and what they hang on, left, right, among the 133 points."""
_LENGTHS = {
    "thighs over shins": (((11, 13), (13, 15)), ((12, 14), (14, 16))),
    "upper arms over forearms": (((5, 7), (7, 9)), ((6, 8), (8, 10))),
    "hips over shoulders": (((11, 12), (5, 6)),),
}
"""Ratio -> pairs of points whose distances it is of, seen in photos: medians of 0.4 to 1.6 in all sets looked at."""
_RATIOS = (0.2, 3.0)
_MIN_AT_ONE = 4
"""People with a box or point at 1 exactly, where none lies below: enough to say where counting begins."""


def with_points_checked(entries: Iterable[Entry], check: Callable[[Sequence[PersonRecord]], None]) -> Iterator[Entry]:
    """The entries of an adapter, whose first people a check was given; what it raises comes before the first entry."""
    entries = iter(entries)
    held: list[Entry] = []
    people: list[PersonRecord] = []
    for entry in entries:
        held.append(entry)
        if isinstance(entry, ImageRecord):
            people += [person for person in entry.people if person.error_code is None]
        if len(people) >= _PEOPLE or len(held) >= _MAX_HELD:
            break
    check(people)
    yield from held
    yield from entries


def check_order(people: Sequence[PersonRecord], source: str, way_out: str) -> None:
    """Refuses points in another order than they are said to be in.

    Args:
        people: The first of a data set.
        source: What they come from.
        way_out: What to do, in a sentence.

    Raises:
        ValueError: A relation of limbs and sides that people have does not hold for most of these.
    """
    known = [person.keypoints for person in people if person.keypoints is not None]
    if not known:
        return
    points = np.stack(known).astype(np.float64)

    def distance(one: int, other: int) -> np.ndarray:
        """(P,) px, NaN where one is not labelled."""
        is_known = (points[:, [one, other], 2] > 0).all(1)
        return np.where(is_known, np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1), np.nan)

    for relation, (left, right, to_left, to_right) in _PAIRS.items():
        own = distance(left, to_left) + distance(right, to_right)
        cross = distance(left, to_right) + distance(right, to_left)
        with np.errstate(invalid="ignore", divide="ignore"):
            plain = (cross - own) / (cross + own)
        plain = plain[np.abs(plain) > _PLAIN]  # NaN is not.
        if len(plain) >= _MIN_PEOPLE and (holds := int((plain > 0).sum())) < _MIN_SHARE * len(plain):
            raise ValueError(
                f"{source}: of {len(plain)} people on whom it can be told, {holds} are as people are ({relation}): the "
                f"points are in another order than they are said to be in. {way_out}"
            )
    for name, limbs in _LENGTHS.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.concatenate([distance(*one) / distance(*other) for one, other in limbs])
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) >= _MIN_PEOPLE and not _RATIOS[0] <= (median := float(np.median(ratios))) <= _RATIOS[1]:
            raise ValueError(
                f"{source}: {name} are {median:.2g} in the median of {len(ratios)}, expected {_RATIOS[0]:g} to "
                f"{_RATIOS[1]:g}: the points are in another order than they are said to be in. {way_out}"
            )


def check_first_pixel(people: Sequence[PersonRecord], source: str, way_out: str) -> None:
    """Refuses boxes and points that count pixels from 1.

    Args:
        people: The first of a data set, as if they counted from 0.
        source: What they come from.
        way_out: What to do, in a sentence.

    Raises:
        ValueError: Several lie at 1 exactly, and none below, where borders of photos are.
    """
    is_at_one, is_below = [], []
    for person in people:
        box, points = person.bbox_xyxy, person.keypoints
        known = [] if points is None else [points[points[:, 2] > 0, :2].ravel()]
        values = np.concatenate([*known, *([] if box is None else [box[:2]]), np.zeros(0)])
        is_at_one.append((values == 1).any())
        is_below.append((values < 1).any())
    if sum(is_at_one) >= _MIN_AT_ONE and not any(is_below):
        raise ValueError(
            f"{source}: boxes or points of {sum(is_at_one)} of {len(people)} people lie at 1 exactly and none lies "
            f"below, so pixels are counted from 1, as MATLAB does, not from 0. {way_out}"
        )
