"""A strip is of some of the frames of a film."""

import numpy as np
import pytest

from tasks.predict.avatar.film import STRIP_FRAMES, film_and_strip


@pytest.mark.parametrize("count", [1, 3, STRIP_FRAMES, 20])
def test_the_strip_is_of_frames_at_equal_distances(count):
    frames = (np.full((64, 64, 3), 10 * k, np.uint8) for k in range(count))
    _, strip = film_and_strip(frames, count, 10.0)
    shown = strip[0, 63::64, 0] // 10
    assert shown[0] == 0
    assert strip.shape == (64, 64 * min(count, STRIP_FRAMES), 3)
    assert np.ptp(np.diff([*shown, count])) <= 1
