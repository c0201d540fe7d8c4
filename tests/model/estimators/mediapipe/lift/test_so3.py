import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from model.estimators.mediapipe.lift import so3

vectors = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)
quick = settings(deadline=None, max_examples=50)
far = vectors.filter(lambda v: np.linalg.norm(v) > 0.1)


@quick
@given(vectors)
def test_exp_is_scipys(v):
    np.testing.assert_allclose(so3.exp(v), Rotation.from_rotvec(v).as_matrix(), atol=1e-7)


@quick
@given(vectors)
def test_log_undoes_exp(v):
    R = so3.exp(v)
    np.testing.assert_allclose(so3.exp(so3.log(R)), R, atol=1e-5)


def test_log_of_half_a_turn():
    for axis in np.eye(3):
        R = so3.exp(np.pi * axis)
        np.testing.assert_allclose(so3.exp(so3.log(R)), R, atol=1e-6)


@quick
@given(far, far)
def test_swing_points_a_at_b(a, b):
    np.testing.assert_allclose(so3.swing(a, b) @ so3.unit(a), so3.unit(b), atol=1e-6)


@quick
@given(far, st.floats(-3, 3))
def test_twist_of_a_pure_turn_is_its_angle(axis, angle):
    assert so3.twist_rad(so3.exp(so3.unit(axis) * angle), axis) == pytest.approx(angle, abs=1e-5)


@quick
@given(vectors)
def test_kabsch_finds_the_rotation(v):
    points = np.random.default_rng(0).normal(size=(6, 3))
    R = so3.exp(v)
    np.testing.assert_allclose(so3.kabsch(points, points @ R.T + 5), R, atol=1e-6)


def test_clamped_keeps_the_axis():
    R = so3.clamped(so3.exp(np.array([0, 2.0, 0])), 0.5)
    np.testing.assert_allclose(so3.log(R), [0, 0.5, 0], atol=1e-9)


def test_view_ray_turns_towards_the_pixel():
    principal = np.array([320.0, 240.0])
    seen = so3.view_ray(620.0, 40.0, 500.0, principal) @ np.array([0, 0, 1.0])
    np.testing.assert_allclose(seen / seen[2], [0.6, -0.4, 1.0], atol=1e-9)
    np.testing.assert_allclose(so3.view_ray(320.0, 240.0, 500.0, principal), np.eye(3), atol=1e-12)
