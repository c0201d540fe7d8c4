"""Which frames are fitted at once: clips cut where time jumps, long ones in windows that overlap."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.clips.settings import ClipConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Frames of a clip that are fitted at once."""

    rows: Tensor
    """(F,) rows, in the order of time."""
    keep: slice
    """Those whose results are taken from this window; the others are of its neighbours."""


def windows(rows: Tensor, time_s: Tensor, config: ClipConfig) -> list[Window]:
    """Windows over the rows of a clip, each row kept by one of them.

    Args:
        rows: (F,) in the order of time.
        time_s: (R,) of all rows.
        config: where to cut, and how long windows may be.
    """
    # A little more, for times that were rounded.
    jumps = torch.nonzero(time_s[rows].double().diff() > 1.001 * config.max_step_s).squeeze(1) + 1
    return [window for piece in rows.tensor_split(jumps.cpu()) for window in _of_piece(piece, config)]


def _of_piece(rows: Tensor, config: ClipConfig) -> list[Window]:
    """Windows over frames without a jump in time, of equal length where there are several."""
    count, size, overlap = len(rows), config.max_frames, config.overlap
    if count <= size:
        return [Window(rows=rows, keep=slice(0, count))]
    number = -(-(count - overlap) // (size - overlap))
    starts = torch.linspace(0, count - size, number).round().int().tolist()
    # Where two windows overlap they meet in the middle.
    borders = [0, *((after + before + size) // 2 for before, after in itertools.pairwise(starts)), count]
    return [
        Window(rows=rows[start : start + size], keep=slice(first - start, last - start))
        for start, first, last in zip(starts, borders, borders[1:], strict=False)
    ]
