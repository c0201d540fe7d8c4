"""Where people are in a world, and which way is up there."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.tracks.world import Placed, up_axis, z_up

UPRIGHT = Rotation.from_rotvec([-np.pi / 2, 0, 0]).as_matrix()
"""From a camera (y down) to a world with z up."""


def cameras(number=5, pitch=0.5):
    """(N, 3, 3) from camera to a world with z up: about the people, all looking down a little."""
    turns = Rotation.from_euler("zx", [[k * 2 * np.pi / number, -pitch] for k in range(number)]).as_matrix()
    return turns @ UPRIGHT


def test_points_of_all_cameras_are_where_they_are_in_the_world():
    rng = np.random.default_rng(0)
    points, rotation, centre = rng.normal(size=(4, 3)), cameras(), rng.normal(size=(5, 3))
    seen = np.einsum("nji,npj->npi", rotation, points - centre[:, None])
    extrinsics = np.concatenate([rotation.transpose(0, 2, 1), -np.einsum("nji,nj->ni", rotation, centre)[..., None]], 2)
    placed = Placed.of(extrinsics)
    np.testing.assert_allclose(placed.to_world(seen), np.tile(points, (5, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(placed.centre_m, centre, atol=1e-12)
    extrinsics[3] = np.nan
    np.testing.assert_array_equal(Placed.of(extrinsics).to_world(seen), seen)


@pytest.mark.parametrize("axis", range(6))
def test_up_is_what_is_up_in_the_cameras_whatever_the_world_calls_it(axis):
    """And `z_up` brings it to z by a proper rotation."""
    up = np.concatenate([np.eye(3), -np.eye(3)])[axis]
    world = z_up(up).T
    assert up_axis(world @ cameras()).tolist() == up.tolist()
    np.testing.assert_allclose(z_up(up) @ up, [0, 0, 1])
    assert np.linalg.det(world) == pytest.approx(1)


def test_a_camera_alone_is_turned_upright_without_a_turn_to_the_side():
    turned = z_up(up_axis(np.eye(3)[None])) @ np.eye(3)
    np.testing.assert_array_equal(turned, [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
