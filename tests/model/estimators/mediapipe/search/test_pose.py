"""Boxes around poses."""

import numpy as np
import pytest

from model.estimators.mediapipe.search.face_landmarks import head_side
from model.estimators.mediapipe.search.pose import BOX_MARGIN, CROWN, person_box

EARS, FEET = slice(7, 9), slice(27, 33)


def standing(*, turn_rad=0.0):
    """Landmarks (33, 5) of a person of 300 px about (500, 500), turned clockwise on the screen."""
    points = np.zeros((33, 2))
    points[:11] = [0, -130]
    points[EARS] = [[8, -130], [-8, -130]]
    points[11:13] = [[35, -90], [-35, -90]]
    points[13:23] = np.tile([[45, -20], [-45, -20]], (5, 1))
    points[23:25] = [[25, 0], [-25, 0]]
    points[25:27] = [[25, 80], [-25, 80]]
    points[FEET] = np.tile([[25, 150], [-25, 150]], (3, 1))
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    points = points @ np.array([[c, s], [-s, c]]) + 500
    return np.column_stack([points, np.zeros(33), np.ones((33, 2))])


@pytest.mark.parametrize("quarter", range(4))
def test_a_box_has_room_for_the_skull_where_the_head_is_and_for_feet_and_hands(quarter):
    landmarks = standing(turn_rad=quarter * np.pi / 2)
    head = head_side(landmarks)
    around = [
        45 + BOX_MARGIN * head,
        130 + (CROWN + BOX_MARGIN) * head,
        45 + BOX_MARGIN * head,
        150 + BOX_MARGIN * head,
    ]
    left, top, right, bottom = np.roll(around, quarter)
    box = person_box(landmarks, 1000, 1000)
    np.testing.assert_allclose(box, [500 - left, 500 - top, 500 + right, 500 + bottom])


def test_a_box_ends_with_the_photo_and_leaves_out_points_that_nothing_shows():
    landmarks = standing()
    landmarks[FEET] = [900, 900, 0, 0.1, 1]
    box = person_box(landmarks, 520, 1000)
    assert box[2] == 520
    assert box[3] == pytest.approx(580 + BOX_MARGIN * head_side(landmarks))


def test_a_head_that_nothing_shows_has_no_skull_in_the_box():
    landmarks = standing()
    landmarks[:11, 3] = 0.1
    assert person_box(landmarks, 1000, 1000)[1] == pytest.approx(410 - BOX_MARGIN * head_side(landmarks))
