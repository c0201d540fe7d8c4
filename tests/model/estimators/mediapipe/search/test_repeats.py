"""Readings that are one person, or of several."""

from dataclasses import replace

import numpy as np
import pytest

from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.landmarks import LEFT_ARM, LEFT_LEG, POSE_FLIP, RIGHT_ARM, RIGHT_LEG
from model.estimators.mediapipe.search.pose import PersonPose, person_box
from model.estimators.mediapipe.search.repeats import drop_repeats

UPPER_BODY = (*range(11), *LEFT_ARM, *RIGHT_ARM)
LEGS = (*LEFT_LEG, *RIGHT_LEG)


def standing(x, *, spread=2.0, height=400.0):
    """A person of a height who stands at x, arms by the side, landmarks that spread so many px."""
    share = np.zeros((33, 2))
    share[:11] = np.column_stack([np.linspace(-0.05, 0.05, 11), np.full(11, 0.08)])
    for side, arm, leg in ((0.1, LEFT_ARM, LEFT_LEG), (-0.1, RIGHT_ARM, RIGHT_LEG)):
        share[list(arm)] = np.column_stack([np.full(5, side), [0.2, 0.35, 0.5, 0.53, 0.53]])
        share[list(leg)] = np.column_stack([np.full(5, side / 2), [0.5, 0.75, 0.95, 0.97, 1.0]])
    landmarks = np.column_stack([share * height + [x, 50], np.zeros(33), np.ones((33, 2))])
    return PersonPose(
        score=0.9,
        landmarks=landmarks,
        world_m=np.zeros((33, 3)),
        spread_px=np.full(33, spread),
        region=Region(x, 50 + height / 2, 1.25 * height),
    )


def with_points_of(pose, other, points, spread):
    landmarks = pose.landmarks.copy()
    landmarks[list(points)] = other.landmarks[list(points)]
    return PersonPose(
        score=pose.score, landmarks=landmarks, world_m=pose.world_m, spread_px=np.full(33, spread), region=pose.region
    )


def kept(*poses):
    return drop_repeats(list(poses), [person_box(pose.landmarks, 2000, 600) for pose in poses])


def turned(pose):
    return with_points_of(
        pose,
        PersonPose(
            score=0.9,
            landmarks=pose.landmarks[POSE_FLIP],
            world_m=pose.world_m,
            spread_px=pose.spread_px,
            region=pose.region,
        ),
        range(33),
        9.0,
    )


def test_people_side_by_side_stay():
    assert kept(standing(300), standing(420), standing(540)) == [0, 1, 2]


@pytest.mark.parametrize("second", [standing(305, spread=6.0), turned(standing(300))])
def test_two_readings_of_one_person_are_one_the_steadier(second):
    assert kept(second, standing(300)) == [1]


def test_a_reading_with_a_persons_head_and_arms_is_that_person_whatever_its_legs():
    person, elsewhere = standing(300), standing(700)
    double = with_points_of(elsewhere, person, UPPER_BODY, 8.0)
    assert kept(double, person) == [1]


def test_a_reading_composed_of_two_people_goes_and_spares_the_third():
    first, second, third = standing(300), standing(500), standing(400, spread=3.0)
    composite = with_points_of(first, second, LEGS, 8.0)
    assert kept(composite, first, second) == [1, 2]
    assert kept(composite, first, second, third) == [1, 2, 3]


def test_people_who_hold_hands_are_two():
    first, second = standing(300), standing(420)
    holding = with_points_of(second, first, (16, 18, 20), 3.0)
    assert kept(first, holding) == [0, 1]


@pytest.mark.parametrize(("x", "people"), [(300, [0]), (350, [0, 1])])
def test_a_small_reading_goes_between_the_points_of_a_person_and_stays_beside_them_though_in_the_box(x, people):
    person, small = standing(300), standing(x, height=60.0, spread=0.5)
    landmarks = small.landmarks + np.array([0, 150, 0, 0, 0])
    assert kept(person, with_points_of(small, replace(small, landmarks=landmarks), range(33), 0.5)) == people
