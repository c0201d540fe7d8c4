"""Accelerations are those of the motion, in whatever steps it was taken."""

import numpy as np
import pytest

from tasks.tracks.acceleration import accelerations


@pytest.mark.parametrize("time_s", [np.arange(9) / 30, np.arange(9) / 30 + np.array([0, 0.4, -0.3] * 3) / 120])
def test_a_constant_acceleration_is_found(time_s):
    given = np.array([[3.0, 0, -4.0], [0, 0, 1.0]])
    found = accelerations(0.5 * time_s[:, None, None] ** 2 * given + 2 * time_s[:, None, None], time_s)
    assert np.isnan(found[[0, -1]]).all()
    np.testing.assert_allclose(found[1:-1], (5 + 1) / 2, atol=1e-6)


def test_frames_beside_a_gap_have_none():
    time_s = np.array([0, 1, 2, 6, 7, 8, 9.0])
    found = accelerations(np.random.default_rng(0).normal(size=(7, 2, 3)), time_s)
    assert np.isfinite(found).tolist() == [False, True, False, False, True, True, False]


def test_two_frames_have_none():
    assert np.isnan(accelerations(np.zeros((2, 1, 3)), np.arange(2.0))).all()
