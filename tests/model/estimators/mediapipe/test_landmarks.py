import numpy as np

from model.body.skeleton import BODY_AND_FEET, BODY_GROUPS, KEYPOINT_FLIP, KEYPOINT_NAMES
from model.estimators.mediapipe.landmarks import (
    FACE_OF_68,
    POSE_FLIP,
    POSE_OF_BODY,
    SMALL_TOES,
)


def test_swapping_sides_twice_changes_nothing():
    np.testing.assert_array_equal(POSE_FLIP[POSE_FLIP], np.arange(33))


def test_body_map_commutes_with_the_mirror():
    flip = np.array(KEYPOINT_FLIP)[BODY_AND_FEET]
    np.testing.assert_array_equal(POSE_FLIP[POSE_OF_BODY], POSE_OF_BODY[flip])


def test_face_map_takes_each_mesh_point_once():
    assert len(FACE_OF_68) == 68
    assert len(set(FACE_OF_68.tolist())) == 68


def test_small_toes_are_the_ones_left_out():
    assert [KEYPOINT_NAMES[i] for i in SMALL_TOES] == ["left_small_toe", "right_small_toe"]


def test_groups_cover_the_body_once():
    assert sorted(k for group in BODY_GROUPS.values() for k in group) == list(range(17))
