"""Which row is trained on at which position: random access, so that a run goes on anywhere and any process can ask.

Position k counts the samples of a whole run, over all processes. Several data sets are mixed by weight in blocks: a
block holds each set's share of its positions, in random order. Each set goes through all of its rows, in an order of
its own, before one comes again. All of it follows from the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array: TypeAlias = np.ndarray
_BLOCK = 256
"""Positions of a block, or more where a set's share of them would be less than four."""
_MIX, _ORDER = 1, 2
"""Set the random streams of blocks and of epochs apart."""


class MixtureSampler:
    """Row of each position, from one or several data sets.

    Args:
        sizes: Rows of each set.
        weights: Relative share of the samples that each set gives.
        seed: Of the order.
        groups: For each set the group of each row, (N,) whole numbers, or None. Rows of a group follow each other.

    Raises:
        ValueError: There is no set, a set is empty, or a weight is not above 0.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        seed: int,
        *,
        groups: Sequence[Array | None] | None = None,
    ) -> None:
        if not sizes or len(sizes) != len(weights):
            raise ValueError(f"expected one weight for each of one or more data sets, got {len(sizes)}, {len(weights)}")
        if min(sizes) < 1:
            raise ValueError(f"sizes: every data set needs a row, got {tuple(sizes)}")
        if not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"weights: expected numbers above 0, got {tuple(weights)}")
        self.sizes = tuple(int(size) for size in sizes)
        self.seed = seed
        self._groups = tuple(groups) if groups is not None else (None,) * len(sizes)
        shares = np.asarray(weights, np.float64) / sum(weights)
        self._bounds = np.concatenate([[0.0], np.cumsum(shares)])
        self._bounds[-1] = 1.0
        self._block = max(_BLOCK, math.ceil(4 / shares.min()))
        self._mixed: tuple[int, Array, Array] | None = None
        self._orders: dict[int, tuple[int, Array]] = {}

    def locate(self, position: int) -> tuple[int, int]:
        """Set and row of a position.

        Args:
            position: 0 or more.
        """
        index, turn = self._turn(position)
        epoch, place = divmod(turn, self.sizes[index])
        return index, int(self._order(index, epoch)[place])

    def epoch(self, position: int) -> float:
        """How often the first data set was gone through when a position is reached."""
        share = self._bounds[1]
        return position * float(share) / self.sizes[0]

    def _turn(self, position: int) -> tuple[int, int]:
        """Set of a position, and how many earlier positions were that set's."""
        if len(self.sizes) == 1:
            return 0, position
        block, place = divmod(position, self._block)
        if self._mixed is None or self._mixed[0] != block:
            first, last = self._given(block), self._given(block + 1)
            sets = np.repeat(np.arange(len(self.sizes)), last - first)
            sets = np.random.default_rng([self.seed, _MIX, block]).permutation(sets)
            turns = np.empty(len(sets), np.int64)
            for k in range(len(self.sizes)):
                turns[sets == k] = np.arange(first[k], last[k])
            self._mixed = (block, sets, turns)
        return int(self._mixed[1][place]), int(self._mixed[2][place])

    def _given(self, block: int) -> Array:
        """How many positions before a block are each set's (sets,)."""
        return np.diff(np.floor(self._bounds * (block * self._block) + 0.5).astype(np.int64))

    def _order(self, index: int, epoch: int) -> Array:
        """Rows of a set in the order of an epoch."""
        kept = self._orders.get(index)
        if kept is None or kept[0] != epoch:
            kept = (epoch, self._shuffled(index, epoch))
            self._orders[index] = kept
        return kept[1]

    def _shuffled(self, index: int, epoch: int) -> Array:
        rng = np.random.default_rng([self.seed, _ORDER, index, epoch])
        groups = self._groups[index]
        if groups is None:
            return rng.permutation(self.sizes[index]).astype(np.int32)
        rank = rng.permutation(int(groups.max()) + 1)
        return np.argsort(rank[groups], kind="stable").astype(np.int32)


class InOrder:
    """All rows of all sets, one after the other: for evaluation.

    Args:
        sizes: Rows of each set.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(int(size) for size in sizes)
        self._ends = np.cumsum(self.sizes)

    def locate(self, position: int) -> tuple[int, int]:
        """Set and row of a position; beyond the last row it begins again."""
        place = position % int(self._ends[-1])
        index = int(np.searchsorted(self._ends, place, side="right"))
        return index, place - int(self._ends[index] - self.sizes[index])


def groups_of_photos(images: pa.Array, most: int) -> Array | None:
    """Groups (N,) of at most ``most`` rows of one photo, where its rows follow each other; None for single rows.

    Args:
        images: Photo of each row, N names.
        most: 1 keeps no rows together.
    """
    count = len(images)
    if most <= 1 or not count:
        return None
    starts = np.ones(count, bool)
    starts[1:] = pc.not_equal(images.slice(1), images.slice(0, count - 1)).to_numpy(zero_copy_only=False)
    first = np.maximum.accumulate(np.where(starts, np.arange(count), 0))
    begins = starts | ((np.arange(count) - first) % most == 0)
    return np.cumsum(begins, dtype=np.int32) - 1
