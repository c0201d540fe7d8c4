from dataclasses import replace

import numpy as np
import pytest
from refusals import codes_of

from model.estimators import ImageInput, create
from model.estimators.annotations import filled

IMAGE = ImageInput.from_rgb("photo", np.zeros((300, 400, 3), np.uint8))
BOX = np.array([[50.0, 40.0, 150.0, 240.0]])


def person(flag=2.0):
    random = np.random.default_rng(0)
    return np.concatenate([random.uniform([50, 40], [150, 240], (133, 2)), np.full((133, 1), flag)], 1)[None]


def run(annotated, boxes=BOX):
    return create("keypoints", "annotations").estimate(IMAGE, boxes, annotated)


def test_points_are_kept_and_scored():
    out = run(person())
    np.testing.assert_allclose(out.keypoints[0, :, :2], person()[0, :, :2], rtol=1e-6)
    assert (out.keypoints[..., 2] > 0.95).all()
    assert out.valid.all()
    assert out.part_valid.all()
    assert out.box_source == ["manifest"]


def test_sigma_is_a_share_of_the_longer_side():
    sigma = run(person()).sigma_px[0] / 200
    np.testing.assert_allclose(sigma[[5, 6, 11, 12]], 0.015, rtol=1e-5)
    np.testing.assert_allclose(sigma[[7, 8, 9, 10]], 0.02, rtol=1e-5)
    np.testing.assert_allclose(sigma[13:17], 0.025, rtol=1e-5)


def test_it_says_where_annotators_put_hips_and_shoulders():
    evidence = run(person()).evidence
    np.testing.assert_allclose(evidence["surface_offset_m"], [[0, 0, 0, -0.009, 0.012, 0]])
    assert evidence["surface_sigma_m"].shape == (1, 6)
    assert (evidence["surface_sigma_m"] > 0).all()


def test_occluded_points_are_half_as_sure_again():
    np.testing.assert_allclose(run(person(1.0)).sigma_px, 1.5 * run(person(2.0)).sigma_px, rtol=1e-5)


def test_missing_points_have_no_weight():
    annotated = person()
    annotated[0, 9, 2] = 0
    annotated[0, 10] = np.nan
    out = run(annotated)
    assert np.isinf(out.sigma_px[0, [9, 10]]).all()
    assert (out.keypoints[0, [9, 10]] == 0).all()
    assert np.isfinite(out.keypoints).all()


@pytest.mark.parametrize(("part", "first", "needed"), [(1, 91, 4), (2, 112, 4), (3, 23, 20)])
def test_parts_are_trusted_by_their_number_of_points(part, first, needed):
    annotated = person()
    last = {1: 112, 2: 133, 3: 91}[part]
    annotated[0, first + needed : last, 2] = 0
    assert run(annotated).part_valid[0, part]
    annotated[0, first + needed - 1, 2] = 0
    assert not run(annotated).part_valid[0, part]


def test_person_with_three_body_points_keeps_its_row_and_says_why():
    annotated = person()
    annotated[0, 3:17, 2] = 0
    out = run(annotated)
    assert out.num_people == 1
    assert not out.valid[0]
    assert codes_of(out) == ["keypoints_too_few"]


def test_box_comes_from_the_keypoints_where_there_is_none():
    out = run(np.concatenate([person(), person()]), np.concatenate([BOX, np.full((1, 4), np.nan)]))
    assert out.box_source == ["manifest", "keypoints"]
    low, high = person()[0, :, :2].min(0), person()[0, :, :2].max(0)
    assert (out.boxes_xyxy[1, :2] <= low).all()
    assert (out.boxes_xyxy[1, 2:] >= high).all()


def test_box_outside_the_photo_is_refused():
    assert codes_of(run(person(), np.array([[500.0, 10, 600, 100]]))) == ["box_invalid"]


def test_data_set_without_keypoints_is_told_what_to_use():
    with pytest.raises(ValueError, match="mediapipe"):
        run(None)


def test_nobody_gives_no_rows():
    out = run(np.zeros((0, 133, 3)), np.zeros((0, 4)))
    assert out.num_people == 0
    assert out.part_valid.shape == (0, 4)


def test_points_far_from_the_own_box_are_not_annotated():
    """As far as the longer side of 200 px is allowed, a pixel more is not; the photo is 400 x 300."""
    annotated = person()
    annotated[0, 9, :2] = 350, 100
    annotated[0, 10, :2] = 351, 100
    out = run(annotated)
    assert out.keypoints[0, 9, 2] > 0
    assert not out.keypoints[0, 10].any()
    assert np.isinf(out.sigma_px[0, 10])
    assert out.valid.all()


def test_points_far_outside_the_photo_are_not_annotated():
    """Even within the box: as far as a quarter of 400 px is allowed, a pixel more is not."""
    annotated = person()
    annotated[0, 9, :2] = 100, 400
    annotated[0, 10, :2] = 100, 401
    out = run(annotated, np.array([[50.0, 40.0, 150.0, 600.0]]))
    assert out.keypoints[0, 9, 2] > 0
    assert not out.keypoints[0, 10].any()


def test_a_person_whose_points_are_elsewhere_is_refused_with_figures():
    annotated = person()
    annotated[0, :, 0] += 3000
    annotated[0, 20:, 2] = 0
    out = run(annotated)
    assert [reason.code for reason in out.reasons] == ["keypoints_too_few"]
    assert out.reasons[0].detail == (
        "0 body points seen, needed 4: 20 of 20 annotated points lie more than 1 x the box's longer side outside "
        "the box or 100 px outside the photo"
    )
    assert not out.part_valid.any()


def test_a_box_is_made_of_the_points_that_are_not_far_outside_the_photo():
    annotated = person()
    annotated[0, 9, :2] = 5000, 100
    out = run(annotated, None)
    assert out.boxes_xyxy[0, 2] < 200
    assert not out.keypoints[0, 9].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_no_numbers_are_not_annotated(value):
    annotated = person()
    annotated[0, 9, 0] = value
    out = run(annotated)
    assert not out.keypoints[0, 9].any()
    assert np.isfinite(out.keypoints).all()


def test_annotated_points_stay_and_only_parts_with_too_few_are_filled():
    annotated = person()
    annotated[0, 91:112, 2] = 0  # no left hand
    annotated[0, 115:133, 2] = 0  # three points of the right one
    own, found = run(annotated), run(person())
    found.keypoints[..., :2] += 7
    out = filled(own, replace(found, part_valid=np.array([[True, True, True, True]])))
    assert out.part_valid.all()
    np.testing.assert_array_equal(out.keypoints[0, :91], own.keypoints[0, :91])
    np.testing.assert_array_equal(out.keypoints[0, 112:115], own.keypoints[0, 112:115])
    np.testing.assert_array_equal(out.keypoints[0, 91:112], found.keypoints[0, 91:112])
    np.testing.assert_array_equal(out.sigma_px[0, 115:], found.sigma_px[0, 115:])
    assert own.part_valid.tolist() == [[True, False, False, True]]


def test_a_part_that_the_filling_refuses_says_both():
    annotated = person()
    annotated[0, 91:112, 2] = 0
    found = run(annotated)
    details = [(None, "spread 4.1 % of the hand, allowed 3.5 %", None, None)]
    out = filled(run(annotated), replace(found, part_details=details))
    said = "0 hand points annotated, needed 4; looked for: spread 4.1 % of the hand, allowed 3.5 %"
    assert out.part_details[0][1] == said
    assert not out.part_valid[0, 1]


def test_nobody_is_filled_who_has_too_few_body_points():
    annotated = person()
    annotated[0, 3:, 2] = 0
    out = filled(run(annotated), run(person()))
    assert not out.part_valid.any()
    assert np.isinf(out.sigma_px[0, 91:]).all()
