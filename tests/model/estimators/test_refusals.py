"""What backends refuse alike: the decision, and the figures that are said with it."""

import numpy as np

from model.body.skeleton import BODY, FACE, LEFT_HAND
from model.estimators.mediapipe.uncertainty import limb_details
from model.estimators.refusals import (
    detail_of_limbs,
    details_by_count,
    few_keypoints,
    limb_details_by_count,
    overlapped,
    refused_boxes,
    trusted_parts,
)


def test_parts_are_trusted_by_counts_and_say_what_they_lack():
    seen = np.zeros(133, bool)
    seen[BODY] = seen[FACE] = True
    seen[LEFT_HAND.start : LEFT_HAND.start + 3] = True
    details = details_by_count(seen, "annotated")
    assert details == (None, "3 hand points annotated, needed 4", "0 hand points annotated, needed 4", None)
    assert trusted_parts([details]).tolist() == [[True, False, False, True]]
    assert trusted_parts([]).shape == (0, 4)


def test_a_body_without_its_trunk_says_so():
    seen = np.zeros(133, bool)
    seen[:5] = True
    assert details_by_count(seen)[0] == "0 of shoulders and hips seen, needed 2"


def test_a_limb_without_a_point_says_so():
    seen = np.zeros(133, bool)
    seen[[0, 5, 7]] = True
    none = "0 of 2 points seen"
    assert limb_details_by_count(seen) == (None, None, None, none, none, none)


def test_the_trunk_and_enough_limbs_make_a_body():
    assert detail_of_limbs([None] * 6) is None
    assert detail_of_limbs(["a", None, None, None, None, "b"]) is None
    assert detail_of_limbs([None, "spread 3 %, allowed 2 %", *[None] * 4]) == "trunk: spread 3 %, allowed 2 %"
    few = detail_of_limbs(["hidden", None, "far", None, None, "out"])
    assert few == "3 of 6 limbs trusted, needed 4 (head: hidden; left arm: far; right leg: out)"


def test_limbs_say_where_they_fail():
    pose = np.column_stack([np.full((33, 2), 50.0), np.zeros(33), np.ones((33, 2))])
    spread = np.full(33, 1.0)
    assert limb_details(pose, spread, 100.0, 100, 100) == (None,) * 6
    spread[13], pose[14, 3], pose[25, 0] = 2.5, 0.1, 200
    head, torso, *limbs = limb_details(pose, spread, 100.0, 100, 100)
    assert head is None
    assert torso is None
    assert limbs == [
        "spread 2.50 % of the person, allowed 1.80 %",
        "visibility 0.10, needed 0.3",
        "1 of 2 points outside the photo, allowed 0",
        None,
    ]


def test_too_few_keypoints_are_counted():
    sigma = np.full(133, np.inf)
    sigma[:3] = 1.0
    assert few_keypoints(sigma).detail == "3 body points seen, needed 4"
    sigma[3] = 1.0
    assert few_keypoints(sigma) is None


def test_a_box_says_how_much_of_it_can_be_used():
    good, outside = refused_boxes(np.array([[0.0, 0, 50, 90], [98, 0, 150, 90]]), 100, 100)
    assert good is None
    assert outside.detail == "2 x 90 px of the box lie inside the photo of 100 x 100, needed 4 a side"


def test_the_smaller_of_two_boxes_is_overlapped_and_the_larger_only_if_comparable():
    large, half, small = [0.0, 0, 100, 100], [40.0, 0, 100, 60], [10.0, 10, 20, 20]
    assert [r is None for r in overlapped(np.array([large, small]))] == [True, False]
    first, second = overlapped(np.array([large, half]))
    assert first.detail == "100% of another person's box lie in this one's, allowed 50%"
    assert second.detail == "100% of the box lie in another person's, allowed 50%"
