"""A cut is another scene, not another light, another view of the same, or somebody who moves."""

import cv2
import numpy as np
import pytest

from tasks.tracks.cuts import is_cut, look_of


def scene(seed):
    """A smooth picture of a few colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8) // 2 + rng.integers(0, 128, 3).astype(np.uint8)
    return cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC)


def cut(before, after):
    return is_cut(*(look_of(np.ascontiguousarray(rgb)) for rgb in (before, after)))


@pytest.mark.parametrize("seed", range(10))
def test_another_scene_is_a_cut_and_the_same_is_none(seed):
    assert cut(scene(seed), scene(seed + 100))
    assert not cut(scene(seed), scene(seed))


@pytest.mark.parametrize("seed", range(10))
def test_what_changes_in_one_scene_is_no_cut(seed):
    rgb = scene(seed)
    walker = rgb.copy()
    walker[40:220, 30:110] = (200, 30, 30)
    assert not cut(rgb, walker)
    assert not cut(rgb[:, :290], rgb[:, 30:])
    assert not cut(rgb, np.clip(1.4 * rgb, 0, 255).astype(np.uint8))


def test_blank_frames_of_other_colours_are_a_cut_and_of_the_same_none():
    black, white = np.zeros((24, 32, 3), np.uint8), np.full((24, 32, 3), 255, np.uint8)
    assert cut(black, white)
    assert not cut(white, white)
