"""The table of keypoint sets against the order in which their data sets write them."""

import numpy as np
import pytest

from datasets_manifest.schema.keypoint_sets import (
    HMR2_44,
    J19,
    KEYPOINT_SETS,
    OPENPOSE_25,
    SMPLX_144,
    keypoint_set,
)
from model.body.skeleton import KEYPOINT_JOINT, KEYPOINT_NAMES

LEGS_AND_ARMS = {name: index for index, name in enumerate(KEYPOINT_NAMES[:17])}


@pytest.mark.parametrize("name", KEYPOINT_SETS)
def test_every_set_maps_each_of_its_points_to_a_point_of_its_own(name):
    own = KEYPOINT_SETS[name]
    mapped = [index for index in own.wholebody if index is not None]
    assert len(own.points) == len(own.wholebody) == len(set(own.points))
    assert len(mapped) == len(set(mapped)) >= 12
    assert set(range(5, 17)) <= set(mapped)


@pytest.mark.parametrize("name", [name for name in KEYPOINT_SETS if not name.startswith("human36m")])
def test_points_of_the_same_name_are_the_same(name):
    own = KEYPOINT_SETS[name]
    for point, index in zip(own.points, own.wholebody, strict=True):
        assert index == LEGS_AND_ARMS.get(point)


@pytest.mark.parametrize(
    ("name", "wholebody"),
    [
        ("posetrack18", [0, -1, -1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        ("crowdpose", [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -1, -1]),
        ("mpii", [16, 14, 12, 11, 13, 15, -1, -1, -1, -1, 10, 8, 6, 5, 7, 9]),
        ("aic", [6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, -1, -1]),
        ("human36m", [-1, 12, 14, 16, 11, 13, 15, -1, -1, -1, -1, 5, 7, 9, 6, 8, 10]),
        ("human36m_mmpose", [-1, 12, 14, 16, 11, 13, 15, -1, -1, -1, -1, 5, 7, 9, 6, 8, 10]),
    ],
)
def test_sets_have_the_order_of_their_data_sets(name, wholebody):
    own = KEYPOINT_SETS[name].wholebody
    np.testing.assert_array_equal([-1 if index is None else index for index in own], wholebody)


@pytest.mark.parametrize("name", KEYPOINT_SETS)
def test_a_set_is_recognised_by_its_names(name):
    own = KEYPOINT_SETS[name]
    assert keypoint_set([point.replace("_", " ").title() for point in own.points]) is own


def test_mmposes_files_of_human36m_name_their_legs_wrongly():
    names = ["root (pelvis)", "left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot", "spine"]
    names += ["thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder"]
    names += ["right_elbow", "right_wrist"]
    own = keypoint_set(names)
    assert own is KEYPOINT_SETS["human36m_mmpose"]
    assert own.wholebody[names.index("left_hip")] == LEGS_AND_ARMS["right_hip"]
    assert own.wholebody[names.index("left_wrist")] == LEGS_AND_ARMS["left_wrist"]


def test_known_points_may_come_in_another_order():
    own = keypoint_set(["Left-Heel", "nose", "Top Head"])
    assert (own.wholebody, own.left_out, own.visible_flag) == ((19, 0, None), ("top_head",), 2)


@pytest.mark.parametrize("names", [["left_foot"], ["nose", "ear"], ["nose", "NOSE"], []])
def test_what_is_not_known_is_refused(names):
    with pytest.raises(ValueError, match="none of the known sets"):
        keypoint_set(names)


@pytest.mark.parametrize("own", [OPENPOSE_25, J19, HMR2_44])
def test_points_of_records_are_those_of_their_names(own):
    for point, index in zip(own.points, own.wholebody, strict=True):
        assert index == (KEYPOINT_NAMES.index(point) if point in KEYPOINT_NAMES[:23] else None)
    assert (len(OPENPOSE_25.points), len(J19.points)) == (25, 19)


def test_the_144_joints_of_smplx_are_the_skeleton_and_each_point_once():
    assert len(SMPLX_144) == 133
    assert len(set(SMPLX_144)) == 131, "both wrists are also roots of their hands"
    assert max(SMPLX_144) == 143
    for keypoint, joint in KEYPOINT_JOINT.items():
        assert SMPLX_144[keypoint] == joint
    assert set(range(55, 144)) <= set(SMPLX_144)
