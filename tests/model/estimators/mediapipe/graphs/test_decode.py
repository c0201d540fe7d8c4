"""Decoding of what the networks give."""

import numpy as np
from scipy.special import logit

from model.estimators.mediapipe.graphs.decode import anchor_centres, detections, moved_to_heat


def test_each_layer_has_its_anchors_row_by_row():
    centres = anchor_centres(4, ((2, 2), (4, 1)))
    assert centres.tolist() == [
        *([0.25, 0.25], [0.25, 0.25], [0.75, 0.25], [0.75, 0.25]),
        *([0.25, 0.75], [0.25, 0.75], [0.75, 0.75], [0.75, 0.75]),
        [0.5, 0.5],
    ]


def raw(centre, size, keypoint):
    return np.array([*centre, *size, *keypoint], np.float32)


def test_boxes_on_one_another_are_one_detection_weighted_by_score():
    rows = np.stack([raw((0, 0), (4, 4), (1, 1)), raw((1, 0), (4, 4), (4, 1)), raw((0, 0), (1, 1), (0, 0))])
    centres = np.array([[0.5, 0.5], [0.5, 0.5], [0.9, 0.9]])
    found = detections(rows, logit(np.array([0.6, 0.9, 0.7])), centres, side=10, min_score=0.5)
    assert [round(score, 6) for score, _ in found] == [0.9, 0.7]
    low, high, keypoint = found[0][1]
    np.testing.assert_allclose(low, [0.36, 0.3], rtol=1e-6)
    np.testing.assert_allclose(high, [0.76, 0.7], rtol=1e-6)
    np.testing.assert_allclose(keypoint, [0.5 + (0.9 * 0.4 + 0.6 * 0.1) / 1.5, 0.6], rtol=1e-6)


def test_what_scores_less_is_no_detection():
    rows = raw((0, 0), (4, 4), (1, 1))[None]
    assert detections(rows, logit(np.array([0.49])), np.full((1, 2), 0.5), side=10, min_score=0.5) == []


def test_a_landmark_moves_to_the_heat_around_it_if_there_is_enough():
    heat = np.full((64, 64, 4), -100.0)
    heat[20, 31, 0] = heat[20, 33, 0] = 3
    heat[20, 32, 1] = -1  # too cold
    heat[20, 40, 2] = 3  # too far away
    heat[0, 0, 3] = 3
    points = np.array([[0.5, 0.3, 7.0], [0.5, 0.3, 7.0], [0.5, 0.3, 7.0], [1.2, 0.3, 7.0]])
    moved = moved_to_heat(points, heat)
    np.testing.assert_allclose(moved[0], [32 / 64, 20 / 64, 7])
    np.testing.assert_array_equal(moved[1:], points[1:])
