"""Points of the world in photos."""

import cv2
import numpy as np

from datasets_manifest.adapters.camera_files import CameraEntry
from datasets_manifest.adapters.captures.seen import project


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
