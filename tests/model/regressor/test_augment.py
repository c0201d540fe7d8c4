"""What a draw may be, and that it is the same for the same generator."""

import numpy as np
import pytest

from model.body.skeleton import FACE, KEYPOINT_NAMES, LEFT_HAND
from model.imaging.crop import crop_square
from model.regressor.augment import REGIONS, AugmentConfig, draw, seen_inside

BOX = np.array([100.0, 50.0, 260.0, 530.0])


def standing(score=0.9):
    """Keypoints (133, 3) of a person who stands upright in BOX."""
    rng = np.random.default_rng(0)
    places = {"nose": (180, 90), "eye": (180, 80), "ear": (180, 85), "shoulder": (180, 150), "elbow": (180, 230)}
    places |= {"wrist": (180, 300), "hip": (180, 300), "knee": (180, 400), "ankle": (180, 500)}
    spread = {"nose": 0, "eye": 8, "ear": 18, "shoulder": 45, "elbow": 60, "wrist": 70, "hip": 30}
    points = np.zeros((133, 3))
    for k, name in enumerate(KEYPOINT_NAMES[:17]):
        part = name.split("_")[-1]
        side = 1 if name.startswith("left") else -1 if name.startswith("right") else 0
        points[k, :2] = places[part][0] + side * spread.get(part, 25), places[part][1]
    points[17:23, :2] = rng.normal((180, 520), 12, (6, 2))
    points[FACE, :2] = rng.normal((180, 95), 12, (68, 2))
    for start, wrist in ((91, 9), (112, 10)):
        points[start : start + 21, :2] = points[wrist, :2] + (0, 15) + rng.normal(0, 8, (21, 2))
    points[:, 2] = score
    return points


def draws(config, count=300, keypoints=None, seed=0):
    keypoints = standing() if keypoints is None else keypoints
    return [draw(np.random.default_rng([seed, k]), config, BOX, keypoints) for k in range(count)]


def test_none_is_what_prediction_cuts():
    for found in draws(AugmentConfig.none(), 20):
        assert found.square == crop_square(BOX)
        assert not found.mirrored
        assert found.gains == (1.0, 1.0, 1.0)
        assert found.region == "whole"


def test_equal_generators_give_equal_draws():
    assert draws(AugmentConfig(), 30) == draws(AugmentConfig(), 30)
    assert draws(AugmentConfig(), 30) != draws(AugmentConfig(), 30, seed=1)


def test_amounts_stay_within_what_is_stated():
    found = draws(AugmentConfig(extreme_crop_share=0.0), 2000)
    plain = crop_square(BOX)
    sides = np.array([f.square.side_px for f in found]) / plain.side_px
    rolls = np.degrees([f.square.roll_rad for f in found])
    shifts = np.abs(np.subtract([f.square.centre_px for f in found], plain.centre_px)) / plain.side_px
    gains = np.array([f.gains for f in found])
    assert 0.7 - 1e-9 <= sides.min() < 0.71
    assert 1.29 < sides.max() <= 1.3 + 1e-9
    assert 59 < np.abs(rolls).max() <= 60 + 1e-9
    assert (rolls != 0).mean() == pytest.approx(0.6, abs=0.04)
    assert shifts.max() <= 0.02 + 1e-9
    assert (shifts.max(1) > 1e-9).mean() == pytest.approx(0.5, abs=0.04)
    assert 0.8 <= gains.min() < 0.81
    assert 1.19 < gains.max() <= 1.2
    assert np.mean([f.mirrored for f in found]) == pytest.approx(0.5, abs=0.04)


def test_extreme_crops_are_smaller_and_come_in_every_kind():
    config = AugmentConfig(scale=0.0, rotation_share=0.0, translation=0.0, extreme_crop_share=1.0)
    found = draws(config, 600)
    assert {f.region for f in found} == set(REGIONS)
    assert all(f.square.side_px < crop_square(BOX).side_px for f in found)
    share = np.mean([f.region == "upper_body" for f in found])
    assert share == pytest.approx(0.2 / 1.0, abs=0.05)


def test_a_region_frames_its_own_points():
    config = AugmentConfig(scale=0.0, rotation_share=0.0, translation=0.0, extreme_crop_share=1.0)
    keypoints = standing()
    for found in draws(config, 100):
        inside = seen_inside(keypoints, found.square)
        assert inside[list(REGIONS[found.region].framed)].all(), found.region


def test_only_regions_that_are_seen_are_chosen():
    keypoints = standing()
    hidden = [k for k, name in enumerate(KEYPOINT_NAMES) if "knee" in name or "ankle" in name]
    keypoints[hidden, 2] = 0
    keypoints[LEFT_HAND, 2] = 0
    keypoints[[KEYPOINT_NAMES.index("left_elbow"), KEYPOINT_NAMES.index("left_wrist")], 2] = 0.1
    regions = {f.region for f in draws(AugmentConfig(extreme_crop_share=1.0), 300, keypoints)}
    assert not regions & {"legs", "left_leg", "right_leg", "left_arm"}
    assert {"head", "right_arm", "upper_body"} <= regions


def test_a_person_always_keeps_a_seen_keypoint():
    rng = np.random.default_rng(4)
    config = AugmentConfig(scale=0.9, rotation_deg=90.0, rotation_share=1.0, translation=0.4, extreme_crop_share=0.7)
    for k in range(400):
        keypoints = standing()
        keypoints[rng.permutation(133)[: rng.integers(100, 133)], 2] = 0
        found = draw(np.random.default_rng(k), config, BOX, keypoints)
        plain = seen_inside(keypoints, crop_square(BOX))
        assert seen_inside(keypoints, found.square).any() or not plain.any()


def test_nobody_seen_is_cut_by_the_box():
    keypoints = np.full((133, 3), np.nan)
    found = draw(np.random.default_rng(0), AugmentConfig(extreme_crop_share=1.0), BOX, keypoints)
    assert found.square == crop_square(BOX)


@pytest.mark.parametrize(
    ("name", "value"),
    [("flip_share", 1.5), ("scale", 1.0), ("colour", -0.1), ("rotation_deg", 120.0), ("translation", 0.5)],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}: .*got {value}"):
        AugmentConfig(**{name: value})
