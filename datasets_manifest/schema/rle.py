"""Masks as COCO writes them: runs of pixels, column by column, outside first, in a text of its own.

    {"size": [height, width], "counts": b"..."}        as pycocotools reads and writes it

A pixel of a polygon is in the mask if its middle is inside: column x is looked at at x + 0.5, from the photo's corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.fields import column

_BITS, _FIRST, _MORE, _SIGN = 5, 48, 32, 16
"""Of a letter: bits of a number, code of zero, flag that another letter follows, sign in the last one."""
_MOST_LETTERS = 8
"""Of a number; photos have fewer pixels."""
_MOST_CROSSINGS = 50_000_000
_MOST_PIXELS = 1 << 30
MASK_TYPE = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.binary())])


def mask_column() -> pa.Field:
    """Which pixels a data set says are the person."""
    return column(
        "mask",
        MASK_TYPE,
        "which pixels the data set says are the person: height and width, and runs as COCO packs them, which "
        "pycocotools.mask.decode takes; null where it does not say",
        unit="px",
        frame="image: x right, y down, after EXIF orientation",
        optional=True,
    )


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask."""

    size: tuple[int, int]
    """Height and width, px."""
    counts: bytes
    """Its runs, packed."""

    @classmethod
    def of_runs(cls, runs: Sequence[int] | np.ndarray, size: tuple[int, int]) -> Rle:
        """A mask of the lengths of its runs, outside first.

        Raises:
            ValueError: They are not whole numbers of 0 or more whose sum is that of the pixels.
        """
        _check_size(size)
        found, most = np.asarray(runs), size[0] * size[1]
        is_whole = found.ndim == 1 and found.dtype.kind in "iu"
        # One by one first: sums of huge numbers come round.
        if not is_whole or (found < 0).any() or (found > most).any() or found.sum() != most:
            raise ValueError(
                f"runs of a mask must be whole numbers whose sum is {size[0]} x {size[1]} pixels, got {len(found)} "
                f"of the sum {found.sum() if found.dtype.kind in 'iuf' else 'of no numbers'}"
            )
        return cls((int(size[0]), int(size[1])), _packed(found.astype(np.int64)))

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> Rle:
        """A mask of its pixels (H, W) bool."""
        flat = np.concatenate([[False], mask.T.ravel().astype(bool)])
        return cls.of_runs(np.diff([0, *np.flatnonzero(np.diff(flat)), mask.size]), mask.shape)  # type: ignore[arg-type]

    @classmethod
    def of_polygons(cls, polygons: Sequence[np.ndarray], size: tuple[int, int]) -> Rle:
        """A mask of the pixels that lie in one of some polygons (N, 2), px. What a polygon goes around an even number
        of times, as it may where it crosses itself, is outside of it.

        Raises:
            ValueError: A corner is not finite, or the polygons cross the photo too many million times.
        """
        spans = [_spans(np.asarray(polygon, np.float64), size) for polygon in polygons]
        starts, ends = (np.concatenate([np.zeros(0, np.int64), *(span[side] for span in spans)]) for side in (0, 1))
        at, step = np.concatenate([starts, ends]), np.repeat([1, -1], len(starts))
        order = np.lexsort([-step, at])  # Where one ends and another begins, they are one.
        at, depth = at[order], np.cumsum(step[order])
        borders = at[(depth == 0) | ((depth == 1) & (step[order] == 1))]
        runs = np.diff([0, *borders, size[0] * size[1]])
        return cls.of_runs(runs[:-1] if len(runs) > 1 and not runs[-1] else runs, size)

    @property
    def runs(self) -> np.ndarray:
        """(N,) lengths of the runs, outside first.

        Raises:
            ValueError: The counts are of no mask of this size.
        """
        _check_size(self.size)
        runs = _unpacked(self.counts)
        if (runs < 0).any() or runs.sum() != self.size[0] * self.size[1]:
            raise ValueError(f"the counts of the mask are not of {self.size[0]} x {self.size[1]} pixels")
        return runs

    @property
    def area(self) -> int:
        """Number of its pixels; raises as ``runs``."""
        return int(self.runs[1::2].sum())

    @property
    def value(self) -> dict[str, object]:
        """What the column holds."""
        return {"size": list(self.size), "counts": self.counts}

    @classmethod
    def of_value(cls, value: dict[str, object] | None) -> Rle | None:
        """The mask of a row of the column; None where there is none."""
        return None if value is None else cls(tuple(value["size"]), value["counts"])  # type: ignore[arg-type]

    def mask(self) -> np.ndarray:
        """Its pixels, (H, W) bool; raises as ``runs``."""
        runs = self.runs
        height, width = self.size
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _check_size(size: tuple[int, int]) -> None:
    """Refuses what would fill the memory, or is no size."""
    if not min(size) > 0 or not size[0] * size[1] <= _MOST_PIXELS:
        raise ValueError(f"a mask must have up to {_MOST_PIXELS} pixels, got {size[0]} x {size[1]}")


def _spans(polygon: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where in the pixels, column by column, a polygon (N, 2) begins and ends."""
    if polygon.ndim != 2 or polygon.shape[1] != 2 or not np.isfinite(polygon).all():
        raise ValueError(f"a polygon must be (N, 2) finite numbers, got {polygon.shape}")
    height, width = size
    left, right = polygon, np.roll(polygon, -1, axis=0)
    is_backwards = (left[:, 0] > right[:, 0])[:, None]
    left, right = np.where(is_backwards, right, left), np.where(is_backwards, left, right)
    first, last = (np.clip(np.ceil(side[:, 0] - 0.5), 0, width).astype(np.int64) for side in (left, right))
    number = last - first
    if number.sum() > _MOST_CROSSINGS:
        raise ValueError(f"the polygon of {len(polygon)} corners crosses the columns of the photo too often")
    edge = np.repeat(np.arange(len(polygon)), number)
    at = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
    slope = (right[edge, 1] - left[edge, 1]) / (right[edge, 0] - left[edge, 0])
    y = left[edge, 1] + slope * (at + 0.5 - left[edge, 0])
    order = np.lexsort([y, at])
    row = np.clip(np.ceil(y[order] - 0.5), 0, height).astype(np.int64)
    places = at[order] * height + row
    starts, ends = places[::2], places[1::2]
    return starts[starts < ends], ends[starts < ends]


def _packed(runs: np.ndarray) -> bytes:
    """COCO's text of (N,) lengths: from the fourth on the difference to that two before."""
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    letters, is_used = [], []
    is_on = np.ones(len(rest), bool)
    while is_on.any():
        bits, rest = rest & (_MORE - 1), rest >> _BITS
        goes_on = is_on & (rest != np.where(bits & _SIGN, -1, 0))
        letters.append((bits + _FIRST + _MORE * goes_on).astype(np.uint8))
        is_used.append(is_on)
        is_on = goes_on
    return np.stack(letters, 1)[np.stack(is_used, 1)].tobytes() if letters else b""


def _unpacked(text: bytes) -> np.ndarray:
    """(N,) lengths of COCO's text.

    Raises:
        ValueError: It is none.
    """
    letters = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if not len(letters) or (letters < 0).any() or (letters >= 2 * _MORE).any() or letters[-1] & _MORE:
        raise ValueError(f"the counts of a mask are no runs as COCO packs them: {text[:20]!r}")
    last = np.flatnonzero(letters & _MORE == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    number = last - first + 1
    if number.max() > _MOST_LETTERS:
        raise ValueError(f"the counts of a mask hold a number of {number.max()} letters")
    place = np.arange(len(letters)) - np.repeat(first, number)
    found = np.add.reduceat((letters & (_MORE - 1)) << (_BITS * place), first)
    found[letters[last] & _SIGN > 0] -= 1 << (_BITS * number[letters[last] & _SIGN > 0])
    for parity in (1, 2):
        found[parity::2] = np.cumsum(found[parity::2])
    return found
