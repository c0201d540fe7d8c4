"""Joins pieces of people into people, those that fit best first."""

from __future__ import annotations

import numpy as np


def joined(label: np.ndarray, score: np.ndarray, wanted: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Labels (N,) after joining what belongs together.

    Two sets of pieces become one where some pair of theirs is wanted, none is apart, and their scores sum to more than
    nothing; of all that may, the two with the largest sum are next.

    Args:
        label: (N,) int; pieces with the same number are joined already.
        score: (N, N) symmetric.
        wanted: (N, N) bool, symmetric.
        apart: (N, N) bool, symmetric.
    """
    numbers, place = np.unique(label, return_inverse=True)
    member = np.eye(len(numbers))[place]
    total, wishes, refusals = (member.T @ own @ member for own in (score, wanted, apart))
    np.fill_diagonal(refusals, 1)
    while True:
        gain = np.where((wishes > 0) & (refusals == 0), total, 0.0)
        kept, gone = np.unravel_index(gain.argmax(), gain.shape) if gain.size else (0, 0)
        if not gain.size or gain[kept, gone] <= 0:
            return numbers[place]
        for own in (total, wishes, refusals):
            own[kept] += own[gone]
            own[:, kept] += own[:, gone]
        refusals[gone] = refusals[:, gone] = 1
        place[place == gone] = kept
