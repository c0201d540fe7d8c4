"""Legs that the photo does not show stay at rest instead of following the network's guess."""

import numpy as np
from scipy.spatial.transform import Rotation

from model.estimators.mediapipe.body import straighten_unseen_legs

LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE = 13, 14, 15, 16


def straightened(*unseen_points):
    pose = Rotation.random(21, random_state=0).as_matrix()
    sigma, seen = np.full(22, 0.5), np.ones(133, bool)
    seen[list(unseen_points)] = False
    before = pose.copy()
    straighten_unseen_legs(pose, sigma, seen)
    changed = {joint for joint in range(1, 22) if not np.array_equal(pose[joint - 1], before[joint - 1])}
    assert changed == {joint for joint in range(22) if sigma[joint] != 0.5}
    assert all(np.array_equal(pose[joint - 1], np.eye(3)) for joint in changed)
    return changed


def test_a_whole_photo_changes_nothing():
    assert straightened() == set()


def test_a_missing_ankle_costs_the_knee_and_what_is_below():
    assert straightened(LEFT_ANKLE) == {4, 7, 10}


def test_missing_knee_and_ankle_cost_the_leg_of_that_side_only():
    assert straightened(RIGHT_KNEE, RIGHT_ANKLE) == {2, 5, 8, 11}


def test_a_knee_alone_may_be_hidden():
    assert straightened(LEFT_KNEE) == set()
