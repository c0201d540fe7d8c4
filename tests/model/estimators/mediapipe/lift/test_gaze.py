"""Irises where a known gaze brings them must lead back to the gaze."""

import math

import numpy as np
import pytest

from model.estimators.mediapipe.lift.gaze import (
    CENTRE_M,
    MAX_SINE,
    MIRROR,
    RADIUS_M,
    REST_CORNERS,
    find_gaze,
    turned_away_rad,
)
from model.estimators.mediapipe.lift.rest import open_skeleton
from model.estimators.mediapipe.lift.so3 import exp

AHEAD = np.array([0.0, 0.0, 1.0])


def direction(left_deg, up_deg):
    left, up = math.radians(left_deg), math.radians(up_deg)
    return np.array([math.sin(left) * math.cos(up), math.sin(up), math.cos(left) * math.cos(up)])


def seen(rest, head, gaze, *, px_per_m=3000.0, roll_rad=0.0, place=(200.0, 100.0)):
    """Corners (2, 2, 2) and irises (2, 2) in a photo of a head (3, 3) without roll, which is then rolled."""
    corners = rest.face[np.array(REST_CORNERS)]
    offset = np.einsum("ekj,kj->ek", MIRROR[:, None] * CENTRE_M, head[:2]) + RADIUS_M * (head @ gaze)[:2]
    points = np.concatenate([(corners @ head.T)[..., :2], ((corners @ head.T)[..., :2].mean(1) + offset)[:, None]], 1)
    points = points @ exp(np.array([0, 0, roll_rad]))[:2, :2].T * [1, -1] * px_per_m + place
    return points[:, :2], points[:, 2]


@pytest.mark.parametrize("turn_deg", [(0, 0), (0, 30), (0, -30), (20, 0), (-20, 25)])
@pytest.mark.parametrize("look_deg", [(0, 0), (20, 0), (-20, 0), (0, 15), (10, -15)])
def test_the_gaze_is_found_in_any_head(turn_deg, look_deg):
    rest = open_skeleton()
    head = exp(np.radians([turn_deg[0], 0, 0])) @ exp(np.radians([0, turn_deg[1], 0]))
    head = exp(np.array([0, 0, -math.atan2(head[1, 0], head[0, 0])])) @ head
    gaze = direction(*look_deg)
    for roll_rad, px_per_m in ((0.0, 3000.0), (0.6, 500.0), (-2.0, 3000.0)):
        corners, irises = seen(rest, head, gaze, roll_rad=roll_rad, px_per_m=px_per_m)
        found = find_gaze(rest, exp(np.array([0, 0, roll_rad])) @ head, corners, irises)
        np.testing.assert_allclose(found.direction, gaze, atol=1e-6)
        assert found.disagreement < 1e-6


def test_left_right_up_and_down_have_their_signs():
    rest = open_skeleton()
    corners, irises = seen(rest, np.eye(3), AHEAD)
    for (x_px, y_px), axis, sign in [((6, 0), 0, 1), ((-6, 0), 0, -1), ((0, -3), 1, 1), ((0, 3), 1, -1)]:
        found = find_gaze(rest, np.eye(3), corners, irises + np.array([x_px, y_px])).direction
        assert sign * found[axis] > 0.1  # to the photo's right is to the person's left
        assert abs(found[1 - axis]) < 1e-6


def test_the_mirrored_photo_gives_the_mirrored_gaze():
    rest, head = open_skeleton(), exp(np.radians([0, 20, 0]))
    corners, irises = seen(rest, head, direction(12, 5))
    mirror = np.diag([-1.0, 1.0, 1.0])
    found = find_gaze(rest, mirror @ head @ mirror, (corners * [-1, 1])[::-1], (irises * [-1, 1])[::-1])
    np.testing.assert_allclose(found.direction, direction(-12, 5), atol=1e-4)


def test_eyes_that_look_two_ways_disagree():
    rest = open_skeleton()
    corners, irises = seen(rest, np.eye(3), AHEAD)
    found = find_gaze(rest, np.eye(3), corners, irises + np.array([[10, 0], [-10, 0]]))
    np.testing.assert_allclose(found.direction, AHEAD, atol=1e-6)
    assert found.disagreement == pytest.approx(20 / 3000 / RADIUS_M[0])


def test_an_iris_far_from_the_eye_is_no_direction_across_the_view():
    rest = open_skeleton()
    corners, irises = seen(rest, np.eye(3), AHEAD)
    found = find_gaze(rest, np.eye(3), corners, irises + np.array([200, 0])).direction
    assert np.hypot(*found[:2]) == pytest.approx(MAX_SINE)


def test_a_nod_and_a_roll_turn_no_head_to_the_side():
    assert turned_away_rad(exp(np.array([0.4, 0, 0]))) == pytest.approx(0)
    assert turned_away_rad(exp(np.array([0, 0, 1.0]))) == pytest.approx(0)
    assert turned_away_rad(exp(np.array([0, -0.7, 0]))) == pytest.approx(0.7)
