"""Where faces are cut out: margins, lean, and what is too little to cut."""

import math

import numpy as np
import pytest
from face_keypoints import person

from model.estimators.teaser.region import RegionConfig, face_square
from model.imaging.squares import Square, apply_affine, crop_affine


def test_the_square_of_an_upright_face_has_the_documented_margins() -> None:
    square = face_square(person(), RegionConfig())
    assert square is not None
    side = 1.75 * 1.2 * 60
    assert square.side_px == pytest.approx(side)
    assert square.roll_rad == pytest.approx(0, abs=1e-12)
    assert square.centre_px == pytest.approx((200, 150 - 0.1 * side))


@pytest.mark.parametrize("roll", [-2.5, -0.4, 0.3, 1.5, math.pi])
def test_the_square_leans_with_the_face(roll: float) -> None:
    upright, leaning = face_square(person(), RegionConfig()), face_square(person(roll), RegionConfig())
    assert upright is not None
    assert leaning is not None
    assert math.remainder(leaning.roll_rad - roll, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    # In the crop, the face looks the same.
    straight = apply_affine(crop_affine(upright, 224), person()[23:91, :2])
    turned = apply_affine(crop_affine(leaning, 224), person(roll)[23:91, :2])
    np.testing.assert_allclose(turned, straight, atol=1e-9)


def test_without_alignment_the_square_stays_upright() -> None:
    square = face_square(person(0.8), RegionConfig(align_roll=False))
    assert square is not None
    assert square.roll_rad == 0


def test_a_face_without_seen_eyes_is_cut_upright() -> None:
    points = person(0.8)
    points[23 + 36 : 23 + 48, 2] = 0
    square = face_square(points, RegionConfig())
    assert square is not None
    assert square.roll_rad == 0


@pytest.mark.parametrize(("seen", "found"), [(19, False), (20, True)])
def test_fewer_than_20_points_are_no_face(seen: int, found: bool) -> None:
    points = person()
    points[23 + seen : 91, 2] = 0.29
    assert isinstance(face_square(points, RegionConfig()), Square) == found


def test_points_that_are_not_seen_do_not_stretch_the_square() -> None:
    points = person()
    points[40] = (-1, -1, 0.0)
    points[45] = (np.nan, np.nan, 0.0)
    other = person()
    other[[40, 45], 2] = 0
    assert face_square(points, RegionConfig()) == face_square(other, RegionConfig())


def test_a_speck_is_no_face() -> None:
    assert face_square(person(scale=5), RegionConfig()).detail.endswith("px large, needed 8")


@pytest.mark.parametrize("field", [{"size_factor": 0.0}, {"min_points": 100}, {"min_score": 2.0}])
def test_settings_out_of_range_are_named(field: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        RegionConfig(**field)
