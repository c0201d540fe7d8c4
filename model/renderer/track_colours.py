"""The colours of tracks: a person is drawn in the same one throughout."""

import colorsys

import numpy as np

_HUE_STEP = 0.618
"""Between the hues of two tracks in turn, in turns of the colour circle: of the first few no two are alike."""


def track_rgb(track: int | None) -> np.ndarray:
    """The colour (3,) 0..255 of a track, always the same; grey without one."""
    if track is None:
        return np.full(3, 200.0)
    return 255 * np.array(colorsys.hsv_to_rgb((0.58 + _HUE_STEP * track) % 1.0, 0.6, 0.97))
