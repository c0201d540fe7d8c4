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

PLACES = {name: index for index, name in enumerate(KEYPOINT_NAMES)}
NAMED_BY_MARKERS = ("human36m", "human36m_mmpose", "human36m_spin")
HOLD_A_POINT_TWICE = ("hmr2_44", "humandata")
HIPS = {11, 12}
BODY_25 = [0, -1, 6, 8, 10, 5, 7, 9, -1, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3, 17, 18, 19, 20, 21, 22]


@pytest.mark.parametrize("name", KEYPOINT_SETS)
def test_every_set_maps_each_of_its_points_to_a_point_of_its_own(name):
    own = KEYPOINT_SETS[name]
    mapped = [index for index in own.wholebody if index is not None]
    assert len(own.points) == len(own.wholebody) == len(set(own.points))
    assert name in HOLD_A_POINT_TWICE or len(mapped) == len(set(mapped))
    assert set(range(5, 17)) - (HIPS if name == "smpl45" else set()) <= set(mapped)


@pytest.mark.parametrize("name", [name for name in KEYPOINT_SETS if name not in NAMED_BY_MARKERS])
def test_points_of_the_same_name_are_the_same(name):
    own = KEYPOINT_SETS[name]
    for point, index in zip(own.points, own.wholebody, strict=True):
        assert index == PLACES.get(point) or name in HOLD_A_POINT_TWICE


@pytest.mark.parametrize(
    ("name", "wholebody"),
    [
        ("posetrack18", [0, -1, -1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
        ("crowdpose", [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, -1, -1]),
        ("mpii", [16, 14, 12, 11, 13, 15, -1, -1, -1, -1, 10, 8, 6, 5, 7, 9]),
        ("aic", [6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, -1, -1]),
        ("human36m", [-1, 12, 14, 16, 11, 13, 15, -1, -1, -1, -1, 5, 7, 9, 6, 8, 10]),
        ("human36m_mmpose", [-1, 12, 14, 16, 11, 13, 15, -1, -1, -1, -1, 5, 7, 9, 6, 8, 10]),
        ("human36m_spin", [-1, 11, 13, 15, 12, 14, 16, -1, -1, -1, -1, 5, 7, 9, 6, 8, 10]),
        ("lsp", [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, -1, -1]),
        ("openpose18", [0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]),
        ("openpose25", BODY_25),
        ("hmr2_44", [*BODY_25, 16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, *[-1] * 7]),
        ("spin24", [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, *[-1] * 7, 0, 1, 2, 3, 4]),
        (
            "instavariety",
            [-1, 14, 12, 11, 13, -1, 10, 8, 6, 5, 7, 9, -1, -1, 0, 1, 2, 3, 4, 17, 20, 18, 21, 15, 16],
        ),
        ("mpi_inf_3dhp_test", [-1, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, -1, -1, -1]),
    ],
)
def test_sets_have_the_order_of_their_data_sets(name, wholebody):
    own = KEYPOINT_SETS[name].wholebody
    np.testing.assert_array_equal([-1 if index is None else index for index in own], wholebody)


def test_mpi_inf_3dhp_has_the_limbs_where_its_28_joints_have_them():
    limbs = {9: 5, 10: 7, 11: 9, 14: 6, 15: 8, 16: 10, 18: 11, 19: 13, 20: 15, 23: 12, 24: 14, 25: 16}
    own = KEYPOINT_SETS["mpi_inf_3dhp"].wholebody
    assert (len(own), {k: index for k, index in enumerate(own) if index is not None}) == (28, limbs)


def test_the_70_points_of_mhr_tell_fingers_from_the_tip():
    own = KEYPOINT_SETS["mhr70"].wholebody
    assert own[21:25] == (116, 115, 114, 113)
    assert (own[41], own[42:46], own[62], own[63:]) == (10, (95, 94, 93, 92), 9, (None,) * 7)
    assert own[9:21] == (11, 12, 13, 14, 15, 16, *range(17, 23))


def test_dwpose_has_a_neck_and_openposes_order_before_feet_face_and_hands():
    own = KEYPOINT_SETS["dwpose134"].wholebody
    assert own == (*KEYPOINT_SETS["openpose18"].wholebody, *range(17, 133))


def test_humandata_has_the_points_of_smplx_then_others_of_the_same_places():
    own = KEYPOINT_SETS["humandata"].wholebody
    names = {55: "nose", 56: "right_eye", 76: "face_17", 127: "face_0", 25: "left_hand_index1", 31: "left_hand_pinky1"}
    names |= {34: "left_hand_ring1", 37: "left_hand_thumb1", 66: "left_hand_thumb4", 52: "right_hand_thumb1"}
    names |= {75: "right_hand_pinky4", 60: "left_big_toe", 65: "right_heel", 16: "left_shoulder", 8: "right_ankle"}
    assert {k: KEYPOINT_NAMES[own[k] or 0] for k in names} == names
    assert (len(own), own[0], own[1:3]) == (190, None, (11, 12))
    assert own[144:146] == (12, 11)
    assert own[153:178] == KEYPOINT_SETS["openpose25"].wholebody


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
    assert own.wholebody[names.index("left_hip")] == PLACES["right_hip"]
    assert own.wholebody[names.index("left_wrist")] == PLACES["left_wrist"]


def test_known_points_may_come_in_another_order():
    own = keypoint_set(["Left-Heel", "nose", "Top Head"])
    assert (own.wholebody, own.left_out, own.visible_flag) == ((19, 0, None), ("top_head",), 2)


@pytest.mark.parametrize("names", [["left_foot"], ["nose", "ear"], ["nose", "NOSE"], []])
def test_what_is_not_known_is_refused(names):
    with pytest.raises(ValueError, match="none of the known sets"):
        keypoint_set(names)


@pytest.mark.parametrize("own", [OPENPOSE_25, J19])
def test_points_of_records_are_those_of_their_names(own):
    for point, index in zip(own.points, own.wholebody, strict=True):
        assert index == (KEYPOINT_NAMES.index(point) if point in KEYPOINT_NAMES[:23] else None)
    assert (len(OPENPOSE_25.points), len(J19.points), len(HMR2_44.points)) == (25, 19, 44)


def test_the_144_joints_of_smplx_are_the_skeleton_and_each_point_once():
    assert len(SMPLX_144) == 133
    assert len(set(SMPLX_144)) == 131, "both wrists are also roots of their hands"
    assert max(SMPLX_144) == 143
    for keypoint, joint in KEYPOINT_JOINT.items():
        assert SMPLX_144[keypoint] == joint
    assert set(range(55, 144)) <= set(SMPLX_144)
