"""The networks without MediaPipe's calculators: what its own graphs (0.10.21) say of one photo is said here too."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from mediapipe_package import need_mediapipe

from model.estimators.mediapipe.graphs.interpreter import only_outputs
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import network_folder, networks

need_mediapipe()


@pytest.fixture(scope="module")
def astronaut():
    return pytest.importorskip("skimage.data").astronaut()


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-3)


def test_people_as_its_detector_has_them(astronaut):
    (found,) = networks().detect(astronaut, Region(256, 256, 512))
    near([found.score, found.radius_px, found.rotation_rad], [0.80994, 526.66175, 0.15529])
    near(found.head_xyxy, [162.04921, 135.73137, 264.38663, 238.04724])
    near(found.hip_px, [157.53357, 539.15179])


def test_faces_as_its_face_detector_has_them(astronaut):
    (found,) = networks().detect_faces(astronaut, Region(225, 120, 300, 0.2))
    near(found.score, 0.94115)
    near(found.box_xyxy, [184.22208, 65.32575, 263.10953, 184.3171])
    near(found.points[[0, 5]], [[203.25575, 101.10432], [271.4843, 114.23849]])


@pytest.mark.parametrize(
    ("mirrored", "score", "nose", "nose_m"),
    [
        (False, 0.92586, [223.06196, 123.18316, -467.71001, 0.99958, 0.99436], [0.11127, -0.46431, -0.3851]),
        (True, 0.98545, [223.92357, 125.06789, -607.89492, 0.99978, 0.9995], [0.08286, -0.45668, -0.48772]),
    ],
)
def test_poses_as_its_graph_has_them(astronaut, mirrored, score, nose, nose_m):
    found = networks().pose(astronaut, Region(240, 330, 700, 0.1), mirrored=mirrored)
    near(found.score, score)
    near(found.landmarks[0], nose)
    near(found.world_m[0], nose_m)


def test_hands_as_its_graph_has_them(astronaut):
    found = networks().hand(astronaut, Region(410, 420, 180, 0.3))
    near([found.score, found.right], [0.00243, 0.59776])
    near(found.landmarks[[0, 8]], [[409.18476, 471.17038, 0.00021], [406.15993, 394.13619, -33.70579]])
    near(found.world_m[8], [-0.00887, -0.0328, -0.00658])


def test_faces_as_its_mesh_has_them(astronaut):
    found = networks().face(astronaut, Region(222, 112, 160, 0.1))
    near(found.score, 1.0)
    near(found.landmarks[[1, 152]], [[223.32101, 130.83447, -22.91708], [222.53119, 176.88389, 8.7958]])


@pytest.mark.parametrize(
    ("mirrored", "corner", "iris"),
    [(False, [195.68796, 101.05385], [203.39325, 101.09967]), (True, [209.84975, 102.55545], [203.63826, 101.05614])],
)
def test_eyes_as_its_iris_network_has_them(astronaut, mirrored, corner, iris):
    found = networks().eye(astronaut, Region(205, 102, 40, 0.1), mirrored=mirrored)
    near(found.corners[0], corner)
    near(found.iris, iris)


def outputs_of(model, image):
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def test_an_output_that_nobody_reads_is_not_computed_and_changes_nothing():
    whole = (network_folder() / "pose_landmark/pose_landmark_full.tflite").read_bytes()
    image = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
    expected = outputs_of(whole, image)
    found = outputs_of(only_outputs(whole, (0, 1, 3, 4)), image)
    for left, right in zip([expected[i] for i in (0, 1, 3, 4)], found, strict=True):
        np.testing.assert_array_equal(left, right)
