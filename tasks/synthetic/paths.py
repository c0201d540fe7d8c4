"""Smooth paths through what is drawn every so many frames.

Legend: K drawn, F frames.
"""

import numpy as np

RATE_HZ = 30.0
"""Frames a second."""


def path_through(drawn: np.ndarray, spacing: int, frames: int, axis: int = 0) -> np.ndarray:
    """The natural cubic spline (..., F, ...) through what is drawn (..., K, ...) every ``spacing`` frames."""
    # Not scipy's: machines on which fits alone are measured have no more than numpy (`benchmarks.gpu`).
    drawn = np.moveaxis(drawn, axis, -1)
    count = drawn.shape[-1]
    system = 4 * np.eye(count) + np.eye(count, k=1) + np.eye(count, k=-1)
    system[[0, -1]] = np.eye(count)[[0, -1]]
    curvature = np.zeros_like(drawn)
    curvature[..., 1:-1] = np.diff(drawn, 2)
    curvature = curvature @ np.linalg.inv(system).T
    at = np.arange(frames) / spacing
    before = np.minimum(at.astype(int), count - 2)
    path = np.zeros((*drawn.shape[:-1], frames))
    for place, share in ((before, before + 1 - at), (before + 1, at - before)):
        path += share * drawn[..., place] + (share**3 - share) * curvature[..., place]
    return np.moveaxis(path, -1, axis)
