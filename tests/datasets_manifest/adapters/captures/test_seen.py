"""Points of the world in photos."""

import cv2
import numpy as np
import pytest
import torch

from datasets_manifest.adapters.camera_files import CameraEntry
from datasets_manifest.adapters.captures.seen import project
from model.imaging.lenses import Lens

STILL = np.eye(3, 4)


def test_points_are_where_opencv_has_them_and_nowhere_behind():
    camera = CameraEntry(
        size_px=(640, 480),
        focal_px=(400.0, 410.0),
        principal_px=(321.0, 239.0),
        lens="brown",
        coefficients=(0.1, -0.05, 0.001, 0.002, 0.01),
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )
    places = np.array([[0.1, 0.2, 2.0], [0.1, 0.2, -2.0]])
    turn = cv2.Rodrigues(np.array([0.0, 0.3, 0.0]))[0]
    seen = project(places, camera, np.concatenate([turn, [[0.0], [0.0], [0.5]]], 1))
    matrix = np.array([[400.0, 0, 321.0], [0, 410.0, 239.0], [0, 0, 1]])
    expected, _ = cv2.projectPoints(
        places[:1], np.array([0.0, 0.3, 0.0]), np.array([0.0, 0.0, 0.5]), matrix, np.array(camera.coefficients)
    )
    np.testing.assert_allclose(seen[0], expected.ravel(), atol=1e-9)
    assert np.isnan(seen[1]).all()


def entry(lens, *coefficients, **changed):
    """A camera at the origin."""
    return CameraEntry(
        **{"size_px": (1408, 1408), "focal_px": (610.0, 610.0), "principal_px": (703.0, 706.0)} | changed,
        lens=lens,
        coefficients=coefficients,
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )


def test_glasses_see_what_the_lens_of_the_fit_shows_within_their_circle():
    coefficients = (0.4037, -0.4848, 0.1309, 1.1937, -1.4109, 0.4817, 5e-4, -3e-4, -9e-4, 2e-4, 7e-4, -1e-4)
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.uniform(-1.5, 1.5, (200, 2)), np.ones((200, 1))], 1)
    places[0, :2] = 0
    seen = project(places, entry("fisheye624", *coefficients), STILL)
    lens = Lens(focal_px=(610, 610), principal_px=(703, 706), coefficients=coefficients, model="fisheye624")
    expected = lens.to_pixels(torch.from_numpy(places[:, :2])).numpy()
    is_inside = np.linalg.norm(expected - 704, axis=1) <= 704
    assert 20 < is_inside.sum() < 180
    np.testing.assert_allclose(seen[is_inside], expected[is_inside], atol=1e-9)
    assert np.isnan(seen[~is_inside]).all()


@pytest.mark.parametrize(
    "camera",
    [entry("fisheye", -0.6, 0.15, 0, 0), entry("brown", -0.3, 0, 0, 0), entry("fisheye624", -0.6, 0.15, *[0.0] * 10)],
)
def test_points_beyond_the_edge_of_a_lens_are_not_seen(camera):
    """The polynomial folds them back into the photo."""
    places = np.array([[0.1, 0.0, 1.0], [2.0, 0.0, 1.0], [40.0, 0.0, 1.0], [0.01, 0.0, 0.05]])
    seen = project(places, camera, STILL)
    assert np.isfinite(seen[0]).all()
    assert np.isnan(seen[1:]).all()
