"""Boxes around poses."""

import numpy as np
import pytest

from model.estimators.mediapipe.search.pose import person_box


def standing(width, height):
    """Landmarks (33, 5) that fill a box from (100, 200)."""
    random = np.random.default_rng(0)
    points = random.uniform([100, 200], [100 + width, 200 + height], (33, 2))
    points[:2] = [100, 200], [100 + width, 200 + height]
    return np.column_stack([points, np.zeros(33), np.ones((33, 2))])


@pytest.mark.parametrize(("width", "height"), [(60, 200), (200, 60)])
def test_a_box_has_room_for_the_skull_and_the_limbs_in_shares_of_its_longer_side(width, height):
    box = person_box(standing(width, height), 1000, 1000)
    np.testing.assert_allclose(box, [100 - 10, 200 - 22, 100 + width + 10, 200 + height + 10])


def test_a_box_ends_with_the_photo_and_leaves_out_points_that_nothing_shows():
    landmarks = standing(60, 200)
    landmarks[2] = [400, 900, 0, 0.1, 1]
    np.testing.assert_allclose(person_box(landmarks, 165, 405), [90, 178, 165, 405])
