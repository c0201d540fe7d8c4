"""Cuts of a film: frames in turn that show other scenes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE_PX = 32
LEVELS = 4
"""Of each colour."""
SAME_COLOURS = 0.7
"""Share of the pixels that have the same colours in both frames, below which they may be of two scenes."""
SAME_LAYOUT = 0.6
"""Correlation of what is bright where, below which they may be."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a frame."""

    colours: np.ndarray
    """(64,) share of the pixels of each colour."""
    layout: np.ndarray
    """(1024,) how bright it is where; of mean 0 and length 1."""


def look_of(rgb: np.ndarray) -> Look:
    """Looks at a frame (H, W, 3) uint8."""
    small = cv2.resize(rgb, (4 * SIDE_PX, 4 * SIDE_PX), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([small], [0, 1, 2], None, [LEVELS] * 3, [0, 256] * 3)
    grey = cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).mean(2).ravel()
    grey = grey - grey.mean()
    return Look(counts.ravel() / counts.sum(), grey / max(float(np.linalg.norm(grey)), 1e-6))


def is_cut(before: Look, after: Look) -> bool:
    """Whether two frames are of different scenes: other colours, and bright elsewhere.

    Light that goes on changes the colours alone, a camera that turns the layout alone.
    """
    colours = float(np.minimum(before.colours, after.colours).sum())
    return colours < SAME_COLOURS and float(before.layout @ after.layout) < SAME_LAYOUT
