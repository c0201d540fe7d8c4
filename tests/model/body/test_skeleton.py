"""The constants of the skeletons and of the 133 keypoints agree with each other."""

import itertools

from model.body import skeleton as s


def test_counts_and_unique_names() -> None:
    for names, parents, count in (
        (s.SMPLX_JOINT_NAMES, s.SMPLX_PARENTS, 55),
        (s.SMPL_JOINT_NAMES, s.SMPL_PARENTS, 24),
        (s.FLAME_JOINT_NAMES, s.FLAME_PARENTS, 5),
        (s.MANO_JOINT_NAMES, s.MANO_PARENTS, 16),
    ):
        assert len(names) == len(parents) == len(set(names)) == count
        assert parents[0] == -1
        assert all(0 <= p < k for k, p in enumerate(parents) if k)
    assert len(s.KEYPOINT_NAMES) == len(set(s.KEYPOINT_NAMES)) == s.NUM_KEYPOINTS


def test_fingers_hang_on_their_wrists() -> None:
    for k in range(25, 55):
        name, parent = s.SMPLX_JOINT_NAMES[k], s.SMPLX_JOINT_NAMES[s.SMPLX_PARENTS[k]]
        side = name.split("_")[0]
        assert parent == (f"{side}_wrist" if name.endswith("1") else name[:-1] + str(int(name[-1]) - 1))


def test_slices_name_what_they_select() -> None:
    assert s.KEYPOINT_NAMES[s.FACE] == tuple(f"face_{k}" for k in range(68))
    assert s.KEYPOINT_NAMES[s.FEET][0] == "left_big_toe"
    assert s.SMPLX_JOINT_NAMES[s.SMPLX_EYES] == ("left_eye", "right_eye")
    assert s.SMPLX_JOINT_NAMES[s.SMPLX_LEFT_HAND][0] == "left_index1"
    assert s.FLAME_JOINT_NAMES[s.FLAME_EYES] == ("left_eye", "right_eye")


def test_pairs_of_joints_are_left_and_right_of_what_they_are_called() -> None:
    pairs = (s.HIPS, s.KNEES, s.ANKLES, s.FOOT_JOINTS, s.COLLARS, s.SHOULDERS, s.ELBOWS, s.WRISTS)
    parts = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
    for pair, part in zip(pairs, parts, strict=True):
        assert [s.SMPLX_JOINT_NAMES[joint] for joint in pair] == [f"left_{part}", f"right_{part}"]
    assert [s.SMPLX_JOINT_NAMES[joint] for joint in s.SPINE] == ["spine1", "spine2", "spine3"]
    assert list(s.JOINT_KEYPOINTS) == list(range(s.NUM_MAIN_JOINTS))


def test_every_keypoint_has_one_source() -> None:
    face = set(range(s.CONTOUR.start, s.INNER_FACE.stop))
    parts = [set(s.KEYPOINT_JOINT), set(s.KEYPOINT_VERTEX_NAME), face]
    assert set.union(*parts) == set(range(s.NUM_KEYPOINTS))
    assert all(not a & b for a, b in itertools.combinations(parts, 2))


def test_a_joint_is_of_the_limb_whose_points_show_how_it_is_turned() -> None:
    groups = list(s.BODY_GROUPS)
    assert [len(points) for points in (s.GROUP_OF_JOINT, s.GROUP_OF_KEYPOINT)] == [s.NUM_MAIN_JOINTS, s.FEET.stop]
    for joint, points in s.JOINT_KEYPOINTS.items():
        limb = groups[s.GROUP_OF_JOINT[joint]]
        shown_by = {groups[s.GROUP_OF_KEYPOINT[k]] for k in points if k < s.FEET.stop}
        # A wrist is shown by its hand alone, and hangs on its arm.
        assert shown_by == ({limb} if shown_by else set()), s.SMPLX_JOINT_NAMES[joint]
        side = s.SMPLX_JOINT_NAMES[joint].partition("_")[0]
        assert limb.startswith(side) or limb in ("head", "torso")
    mirrored = [groups[k] for k in s.BODY_GROUP_FLIP]
    assert mirrored == ["head", "torso", "right_arm", "left_arm", "right_leg", "left_leg"]


def test_flips_swap_left_and_right_and_undo_themselves() -> None:
    for flip, names in ((s.KEYPOINT_FLIP, s.KEYPOINT_NAMES), (s.SMPLX_FLIP, s.SMPLX_JOINT_NAMES)):
        swap = {"left": "right", "right": "left"}
        for k, name in enumerate(names):
            assert flip[flip[k]] == k
            side = name.split("_")[0]
            if side in swap:
                assert names[flip[k]] == swap[side] + name[len(side) :]


def test_edges_join_keypoints_of_the_same_limb_once() -> None:
    assert len(set(s.SKELETON_EDGES)) == len(s.SKELETON_EDGES)
    assert {k for edge in s.SKELETON_EDGES for k in edge} == set(range(s.NUM_KEYPOINTS))
    flipped = {tuple(sorted((s.KEYPOINT_FLIP[a], s.KEYPOINT_FLIP[b]))) for a, b in s.SKELETON_EDGES}
    assert flipped == {tuple(sorted(edge)) for edge in s.SKELETON_EDGES}
