import numpy as np
import pytest

from model.imaging.boxes import box_problem, overlap, score_from_sigma


def test_overlap_of_equal_boxes_is_one_and_of_distant_ones_zero():
    box = np.array([1.0, 2.0, 11.0, 22.0])
    assert overlap(box, box) == pytest.approx(1)
    assert overlap(box, box + 100) == 0


@pytest.mark.parametrize(
    "box", [[200, 10, 300, 60], [10, 10, 12, 60], [np.nan, 0, 10, 10], [50, 50, 20, 20], [-50, -50, 0, 0]]
)
def test_box_without_anything_to_see_is_invalid(box):
    assert box_problem(np.array(box, dtype=float), 100, 100)


def test_box_partly_outside_is_fine():
    assert box_problem(np.array([-20.0, 5, 50, 120]), 100, 100) is None


def test_score_is_the_share_of_near_errors():
    random = np.random.default_rng(0)
    errors = np.hypot(*random.normal(scale=8, size=(2, 20000)))
    assert score_from_sigma(8.0, 200.0) == pytest.approx((errors < 10).mean(), abs=0.01)


def test_score_of_an_unseen_point_is_zero():
    assert score_from_sigma(np.inf, 200.0) == 0
