"""Frames as a film that browsers play, and a few of them side by side."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np

from tasks.film import film_into

STRIP_FRAMES = 8
"""In a strip."""


def film_and_strip(frames: Iterable[np.ndarray], count: int, fps: float) -> tuple[bytes, np.ndarray]:
    """A film, and a few of its frames at equal distances side by side, the first one among them.

    Args:
        frames: (side, side, 3) uint8 RGB.
        count: How many there are.
        fps: Frames a second.
    """
    shown = min(count, STRIP_FRAMES)
    chosen, kept = {k * count // shown for k in range(shown)}, []
    file = io.BytesIO()
    with film_into(file) as film:
        for number, rgb in enumerate(frames):
            if number in chosen:
                kept.append(rgb)
            film.add(rgb, number / fps)
    return file.getvalue(), np.concatenate(kept, axis=1)
