"""Laws of the open body's arrays."""

import hashlib
from importlib import resources

import numpy as np
import pytest
from scipy.spatial import KDTree

from model.body import skeleton
from model.body.open_body.load import load_arrays, regions, sidecar

MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def arrays():
    return load_arrays()


@pytest.fixture(scope="module")
def joints(arrays):
    return arrays["joint_regressor"] @ arrays["v_template"]


@pytest.fixture(scope="module")
def landmarks(arrays):
    """Landmark positions (68, 3) of the frontal head."""
    inner = np.einsum("nkc,nk->nc", arrays["v_template"][arrays["landmark_vertices"]], arrays["landmark_weights"])
    return np.concatenate([contour(arrays, 0), inner])


def contour(arrays, row):
    corners = arrays["v_template"][arrays["contour_vertices"][row]]
    return np.einsum("nkc,nk->nc", corners, arrays["contour_weights"][row])


def joint(joints, name):
    return joints[skeleton.SMPLX_JOINT_NAMES.index(name)]


def test_sidecar_states_hash_and_sizes_of_the_arrays(arrays):
    data = resources.files("model.body.open_body").joinpath("open_body.npz").read_bytes()
    sizes = sidecar()["sizes"]
    assert hashlib.sha256(data).hexdigest() == sidecar()["sha256"]
    assert arrays["v_template"].shape == arrays["kid_template"].shape == (sizes["vertices"], 3)
    assert arrays["faces"].shape == (sizes["faces"], 3)
    assert arrays["shapedirs"].shape == (sizes["vertices"], 3, sizes["betas"])
    assert arrays["exprdirs"].shape == (sizes["vertices"], 3, sizes["expressions"])
    assert arrays["head_shapedirs"].shape == (sizes["head_vertices"], 3, sizes["head_shapes"])
    assert len(arrays["head_vertex_ids"]) == sizes["head_vertices"]
    assert len(arrays["smpl_vertex_ids"]) == sizes["smpl_vertices"]
    assert {s: len(arrays[f"{s}_hand_vertex_ids"]) for s in ("left", "right")} == sizes["hand_vertices"]
    assert arrays["parents"].tolist() == list(skeleton.SMPLX_PARENTS)
    assert sidecar()["joint_names"] == list(skeleton.SMPLX_JOINT_NAMES)


def test_all_arrays_are_finite_and_ids_are_in_range(arrays):
    num_vertices = len(arrays["v_template"])
    for name, values in arrays.items():
        assert np.isfinite(values).all(), name
        if name.endswith("_vertex_ids"):
            assert len(set(values.tolist())) == len(values), name
        if name.endswith(("_vertex_ids", "_vertices")) or name == "faces":
            assert 0 <= values.min() <= values.max() < num_vertices, name
    assert set(arrays["faces"].ravel().tolist()) == set(range(num_vertices))


def test_skin_weights_are_convex(arrays):
    assert arrays["skin_weights"].min() >= 0
    np.testing.assert_allclose(arrays["skin_weights"].sum(1), 1, atol=1e-6)


def test_joint_regressor_is_convex(arrays):
    assert arrays["joint_regressor"].min() >= 0
    np.testing.assert_allclose(arrays["joint_regressor"].sum(1), 1, atol=1e-6)


def test_joints_of_the_parts_use_vertices_of_the_parts(arrays):
    used = arrays["joint_regressor"] > 0
    head = [skeleton.SMPLX_JOINT_NAMES.index(n) for n in ("neck", "head", "jaw", "left_eye", "right_eye")]
    assert set(np.flatnonzero(used[head].any(0))) <= set(arrays["head_vertex_ids"])
    for side, rows in (("left", [20, *range(25, 40)]), ("right", [21, *range(40, 55)])):
        assert set(np.flatnonzero(used[rows].any(0))) <= set(arrays[f"{side}_hand_vertex_ids"])


def test_template_is_left_right_symmetric(arrays, joints):
    for name in ("v_template", "kid_template"):
        distance, _ = KDTree(arrays[name]).query(arrays[name] * MIRROR)
        assert distance.max() < 1e-4, name
    assert np.abs(joints[list(skeleton.SMPLX_FLIP)] * MIRROR - joints).max() < 0.002


def test_template_is_an_upright_t_pose_facing_z(arrays, joints):
    assert 1.5 < np.ptp(arrays["v_template"][:, 1]) < 1.9
    np.testing.assert_allclose(joints[0], [0, -0.35, 0.012], atol=0.003)
    assert joint(joints, "head")[1] > joint(joints, "pelvis")[1] > joint(joints, "left_ankle")[1]
    for side, sign in (("left", 1), ("right", -1)):
        arm = joint(joints, f"{side}_wrist") - joint(joints, f"{side}_shoulder")
        assert sign * arm[0] / np.linalg.norm(arm) > np.cos(np.radians(1))
        foot = joint(joints, f"{side}_foot") - joint(joints, f"{side}_ankle")
        assert foot[2] > 0.05


def test_faces_are_counter_clockwise_from_outside(arrays):
    corners = arrays["v_template"][arrays["faces"]].astype(np.float64)
    volume_l = 1000 * np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 40 < volume_l < 90


def test_first_beta_is_stature_and_betas_are_ordered(arrays):
    height = [np.ptp((arrays["v_template"] + s * arrays["shapedirs"][..., 0])[:, 1]) for s in (-1, 0, 1)]
    assert height[0] + 0.05 < height[1] < height[2] - 0.05
    size = np.linalg.norm(arrays["shapedirs"].reshape(-1, arrays["shapedirs"].shape[-1]), axis=0)
    assert (np.diff(size) < 0).all()


def test_child_is_small_with_a_large_head(arrays):
    def head_share(vertices):
        return np.ptp(vertices[regions()["head"], 1]) / np.ptp(vertices[:, 1])

    assert np.ptp(arrays["kid_template"][:, 1]) < 0.75 * np.ptp(arrays["v_template"][:, 1])
    assert head_share(arrays["kid_template"]) > 1.1 * head_share(arrays["v_template"])


def test_expressions_move_the_head_only_and_fade_out_at_its_border(arrays):
    head = regions()["head"]
    moved = np.linalg.norm(arrays["exprdirs"], axis=1).max(-1)
    assert moved[~head].max() == 0
    mixed = arrays["faces"][(head[arrays["faces"]].any(1)) & ~head[arrays["faces"]].all(1)]
    border = np.intersect1d(mixed, np.flatnonzero(head))
    assert moved[border].max() < 2e-4
    assert moved.max() > 2e-3


def test_expressions_do_not_move_head_and_jaw_joints(arrays):
    rows = [skeleton.NECK, skeleton.HEAD, skeleton.JAW]
    moved = np.einsum("jv,vce->jce", arrays["joint_regressor"][rows], arrays["exprdirs"])
    assert np.abs(moved).max() < 5e-4


def test_smile_on_the_left_lifts_the_left_corner_of_the_mouth(arrays):
    actions = np.array([name == "mouthSmileLeft" for name in sidecar()["actions"]], float)
    assert actions.sum() == 1
    offset = arrays["exprdirs"] @ (actions @ arrays["expression_from_actions"])
    marks = sidecar()["landmarks"]
    left, right = offset[marks["54"]], offset[marks["48"]]
    assert left[1] > 0.004
    assert left[0] > 0.002
    assert np.linalg.norm(right) < 0.3 * np.linalg.norm(left)


def test_eyelids_close_their_own_eye(arrays):
    lids = np.zeros((len(arrays["v_template"]), 3, 2), np.float32)
    lids[arrays["head_vertex_ids"]] = arrays["eyelid_dirs"]
    marks = sidecar()["landmarks"]
    for which, (upper, lower), (other_upper, other_lower) in ((0, (43, 47), (38, 40)), (1, (38, 40), (43, 47))):
        shut = arrays["v_template"] + lids[..., which]
        gap = [v[marks[str(upper)], 1] - v[marks[str(lower)], 1] for v in (arrays["v_template"], shut)]
        other = [v[marks[str(other_upper)], 1] - v[marks[str(other_lower)], 1] for v in (arrays["v_template"], shut)]
        assert gap[1] < 0.35 * gap[0]
        assert abs(other[1] - other[0]) < 0.1 * other[0]


def test_landmarks_run_in_300w_order(landmarks):
    x, y, z = landmarks.T
    assert (np.diff(x[0:17]) > -1e-3).all()
    assert (np.diff(y[0:9]) < 0).all()
    assert (np.diff(y[8:17]) > 0).all()
    assert y[0:17].argmin() == 8
    assert (np.diff(x[17:27]) > 0).all()
    assert (np.diff(y[27:31]) < 0).all()
    assert z.argmax() == 30
    assert (np.diff(x[31:36]) > 0).all()
    assert x[36] < x[37] < x[38] < x[39] < 0 < x[42] < x[43] < x[44] < x[45]
    assert min(y[[37, 38, 43, 44]]) > max(y[[40, 41, 46, 47]])
    assert (np.diff(x[48:55]) > 0).all()
    assert (np.diff(x[55:60]) < 0).all()
    assert y[51] > y[62] >= y[66] > y[57]
    assert x[48] < x[60] < x[61] < x[62] < x[63] < x[64] < x[54]
    brow_y, eye_y = y[17:27].min(), y[36:48].max()
    assert brow_y > eye_y > y[30] > y[51] > y[57] > y[8]


def test_landmarks_are_left_right_symmetric(landmarks):
    flip = np.array(skeleton.KEYPOINT_FLIP)[skeleton.FACE] - skeleton.FACE.start
    assert np.abs(landmarks[flip] * MIRROR - landmarks).max() < 0.003


def test_contour_follows_the_yaw(arrays):
    num_yaws = len(arrays["contour_vertices"])
    assert num_yaws == 79
    for k in (1, 20, 39):
        mirrored = contour(arrays, 39 + k)[::-1] * MIRROR
        assert np.abs(mirrored - contour(arrays, k)).max() < 0.004
    # Turned to the person's left (+yaw), the left outline comes forward onto the cheek.
    assert contour(arrays, 39 + 35)[14, 2] > contour(arrays, 0)[14, 2] + 0.01
    eyes_inner = regions()["inner"] | regions()["ears"]
    picked = np.take_along_axis(arrays["contour_vertices"], arrays["contour_weights"].argmax(-1)[..., None], -1)
    assert not eyes_inner[picked].any()


def test_skin_keypoints_have_the_names_of_the_skeleton_and_lie_where_they_should(arrays, joints):
    ids = sidecar()["keypoint_vertices"]
    assert set(ids) == set(skeleton.KEYPOINT_VERTEX_NAME.values())
    at = {name: arrays["v_template"][k] for name, k in ids.items()}
    for side, sign in (("left", 1), ("right", -1)):
        assert sign * at[f"{side}_eye"][0] > 0
        assert sign * at[f"{side}_ear"][0] > 2 * sign * at[f"{side}_eye"][0]
        assert sign * at[f"{side}_small_toe"][0] > sign * at[f"{side}_big_toe"][0]
        ankle = joint(joints, f"{side}_ankle")
        assert at[f"{side}_heel"][2] < ankle[2] < at[f"{side}_small_toe"][2] < at[f"{side}_big_toe"][2]
        assert at[f"{side}_heel"][1] - arrays["v_template"][:, 1].min() < 0.03
        for finger in ("index", "middle", "ring", "pinky"):
            assert sign * at[f"{side}_{finger}"][0] > sign * joint(joints, f"{side}_{finger}3")[0] + 0.01
    assert at["nose"][2] == max(p[2] for name, p in at.items() if "toe" not in name)


def test_regions_nest(arrays):
    r = regions()
    assert set(r) == set(sidecar()["regions"])
    for part in ("lips", "ears", "eyelids", "eyes", "face", "scalp", "eyebrows", "mouth_cavity"):
        assert r[part].any(), part
        assert not (r[part] & ~r["head"]).any(), part
    assert not (r["pupils"] & ~r["irises"]).any()
    assert not (r["irises"] & ~r["eyes"]).any()
    assert not (r["eyes"] & ~r["inner"]).any()
    assert not (r["fingernails"] & ~(r["left_hand"] | r["right_hand"])).any()
    for side in ("left", "right"):
        assert set(np.flatnonzero(r[f"{side}_hand"])) == set(arrays[f"{side}_hand_vertex_ids"])


def test_right_hand_poses_mirror_the_left(arrays):
    mirror = np.tile([1, -1, -1], 15)
    for name in ("hands_mean", "hands_fist"):
        np.testing.assert_allclose(arrays[name][1], arrays[name][0] * mirror)
    np.testing.assert_allclose(arrays["hands_components"][1], arrays["hands_components"][0] * mirror)
    identity = arrays["hands_components"] @ arrays["hands_components"].transpose(0, 2, 1)
    np.testing.assert_allclose(identity, np.tile(np.eye(45), (2, 1, 1)), atol=1e-5)


def test_uv_is_inside_the_unit_square(arrays):
    assert arrays["uv"].shape == (len(arrays["v_template"]), 2)
    assert arrays["uv"].min() >= 0
    assert arrays["uv"].max() <= 1
