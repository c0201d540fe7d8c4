"""Which frames are fitted at once: clips cut where time jumps, long ones in windows that overlap."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.clips.inputs import ClipConfig, Clips


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Frames of a clip that are fitted at once."""

    rows: Tensor
    """(F,) rows, in the order of time."""
    keep: slice
    """Those whose results are taken from this window; the others are of its neighbours."""


def pieces(clips: Clips, config: ClipConfig) -> list[Tensor]:
    """Rows of every stretch of a clip without a jump in time; each row is in one of them."""
    found: list[Tensor] = []
    for rows in clips.rows():
        # A little more, for times that were rounded.
        jumps = torch.nonzero(clips.time_s[rows].double().diff() > config.max_step_s * 1.001).squeeze(1) + 1
        found += rows.tensor_split(jumps.cpu())
    return found


def windows(rows: Tensor, config: ClipConfig) -> list[Window]:
    """Windows over the frames (F,) of a piece, of equal length where there are several."""
    count, size, overlap = len(rows), config.max_frames, config.overlap
    if count <= size:
        return [Window(rows=rows, keep=slice(0, count))]
    number = -(-(count - overlap) // (size - overlap))
    starts = torch.linspace(0, count - size, number).round().int().tolist()
    found = []
    for place, start in enumerate(starts):
        first = 0 if place == 0 else (starts[place - 1] + size - start) // 2
        last = size if place == number - 1 else (start + size + starts[place + 1]) // 2 - start
        found.append(Window(rows=rows[start : start + size], keep=slice(first, last)))
    return found
