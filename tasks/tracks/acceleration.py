"""How much labels of a track jitter: accelerations from frame to frame, which real motion has little of.

Legend: F frames, J joints.
"""

from __future__ import annotations

import numpy as np

_GAP = 1.5
"""Steps of time, in usual ones, beyond which two frames are not beside each other."""


def accelerations(points_m: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Length of the acceleration of each frame, mean over the joints (F,), m/s^2; NaN without a neighbour on each side.

    Args:
        points_m: (F, J, 3).
        time_s: (F,) rising.
    """
    found = np.full(len(time_s), np.nan)
    step = np.diff(time_s)
    if len(step) < 2 or step.min() <= 0:
        return found
    speed = np.diff(points_m, axis=0) / step[:, None, None]
    change = np.diff(speed, axis=0) / (0.5 * (step[1:] + step[:-1]))[:, None, None]
    beside = np.maximum(step[1:], step[:-1]) <= _GAP * np.median(step)
    found[1:-1][beside] = np.linalg.norm(change[beside], axis=-1).mean(-1)
    return found
