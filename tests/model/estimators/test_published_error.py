"""The turn of a bone by the errors of its ends, against drawing them."""

import math

import numpy as np
import pytest

from model.estimators.published_error import MAX_SIGMA_RAD, body_sigma_rad, turn_rad


@pytest.mark.parametrize("length", [0.3, 0.5])
def test_turn_of_a_bone_by_drawing(length):
    rng = np.random.default_rng(0)
    ends = rng.normal(0, 0.01, (200_000, 2, 3))
    error = np.linalg.norm(ends, axis=-1).mean()
    bone = ends[:, 1] - ends[:, 0] + [0, 0, length]
    turn_x = np.arctan2(bone[:, 1], bone[:, 2])
    assert math.isclose(float(turn_rad(error, length)), turn_x.std(), rel_tol=0.01)


def test_body_joints_in_degrees():
    degrees = np.degrees(body_sigma_rad(0.06))
    assert degrees.shape == (22,)
    assert 5 < degrees[0] < 8
    assert (degrees <= math.degrees(MAX_SIGMA_RAD) + 1e-9).all()
    assert degrees[7] > degrees[4] > degrees[3]
