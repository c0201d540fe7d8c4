"""The part models coincide with the whole body, and the reference package reads them all."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.body.open_body.builder.layout import KINDS, model_dict
from model.body.open_body.load import load_arrays, sidecar
from model.body.skeleton import SMPL_JOINT_NAMES, SMPLX_JOINT_NAMES

NUM_JOINTS = {"smplx": 55, "flame": 5, "mano_left": 16, "mano_right": 16, "smpl": 24}


@pytest.fixture(scope="module")
def models():
    return {kind: model_dict(kind) for kind in KINDS}


def rest_joints(model):
    return model["J_regressor"] @ model["v_template"]


def same_up_to_translation(a, b, atol):
    gap = a - b
    np.testing.assert_allclose(gap, np.broadcast_to(gap[:1], gap.shape), atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_agree_and_rows_are_convex(models, kind):
    model = models[kind]
    num_vertices, num_joints = len(model["v_template"]), NUM_JOINTS[kind]
    assert model["J_regressor"].shape == (num_joints, num_vertices)
    assert model["weights"].shape == (num_vertices, num_joints)
    assert model["kintree_table"].shape == (2, num_joints)
    assert model["shapedirs"].shape[:2] == (num_vertices, 3)
    assert model["f"].max() == num_vertices - 1
    for rows in ("J_regressor", "weights"):
        np.testing.assert_allclose(model[rows].sum(1), 1, atol=1e-5)
        assert model[rows].min() >= -1e-6


def test_unknown_kind_is_refused_by_name():
    with pytest.raises(ValueError, match="got 'smplh'"):
        model_dict("smplh")


def test_flame_head_is_the_head_of_the_body(models):
    body, head, ids = models["smplx"], models["flame"], load_arrays()["head_vertex_ids"]
    same_up_to_translation(body["v_template"][ids], head["v_template"], 1e-6)
    same_up_to_translation(rest_joints(body)[[12, 15, 22, 23, 24]], rest_joints(head), 1e-5)
    np.testing.assert_array_equal(body["shapedirs"][ids][..., 300:], head["shapedirs"][..., 300:])
    np.testing.assert_allclose(rest_joints(head)[1], 0, atol=1e-6)


def test_head_shapes_keep_the_head_joint(models):
    moved = np.einsum("v,vcs->cs", models["flame"]["J_regressor"][1], models["flame"]["shapedirs"][..., :300])
    assert np.abs(moved).max() < 2e-5


def test_landmarks_of_head_and_body_are_the_same_points(models):
    body, head = models["smplx"], models["flame"]

    def points(model, prefix):
        corners = model["v_template"][model["f"].astype(np.int64)[model[f"{prefix}faces_idx"]]]
        return np.einsum("...kc,...k->...c", corners, model[f"{prefix}bary_coords"])

    for prefix in ("lmk_", "dynamic_lmk_"):
        a, b = points(body, prefix), points(head, prefix)
        assert a.shape[-2:] == ((51, 3) if prefix == "lmk_" else (17, 3))
        same_up_to_translation(a.reshape(-1, 3), b.reshape(-1, 3), 1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_mano_hand_is_the_hand_of_the_body(models, side):
    body, hand, ids = models["smplx"], models[f"mano_{side}"], load_arrays()[f"{side}_hand_vertex_ids"]
    joints = [20 + (side == "right"), *range(25 + 15 * (side == "right"), 40 + 15 * (side == "right"))]
    same_up_to_translation(body["v_template"][ids], hand["v_template"], 1e-6)
    same_up_to_translation(rest_joints(body)[joints], rest_joints(hand), 1e-5)
    fingers = body["weights"][ids][:, joints[1:]]
    np.testing.assert_array_equal(hand["weights"][:, 1:], fingers)


def turn_between(source, target):
    """Angle in degrees about z of the best rotation between centred point sets."""
    rotation, _ = Rotation.align_vectors(target - target.mean(0), source - source.mean(0))
    return np.degrees(rotation.as_rotvec())


@pytest.mark.parametrize("name", ["left_shoulder", "right_shoulder", "left_hip", "right_hip"])
def test_smpl_like_rest_pose_has_the_stated_offset(models, name):
    smpl, body, ids = models["smpl"], models["smplx"], load_arrays()["smpl_vertex_ids"]
    end = name.replace("shoulder", "elbow").replace("hip", "knee")
    rigid = smpl["weights"][:, SMPL_JOINT_NAMES.index(end)] > 0.99
    assert rigid.sum() > 50
    turn = turn_between(body["v_template"][ids][rigid], smpl["v_template"][rigid])
    np.testing.assert_allclose(turn, [0, 0, sidecar()["smpl_rest_offset_deg"][name]], atol=0.05)


def test_smpl_like_trunk_is_that_of_the_body(models):
    smpl, body, ids = models["smpl"], models["smplx"], load_arrays()["smpl_vertex_ids"]
    trunk = smpl["weights"][:, [0, 3, 6, 9, 12, 15]].sum(1) > 0.9999
    np.testing.assert_allclose(smpl["v_template"][trunk], body["v_template"][ids][trunk], atol=1e-4)


class TestReferencePackage:
    """The package smplx loads the files and poses them as the arrays say."""

    @pytest.fixture(scope="class")
    def files(self, package_files):
        pytest.importorskip("smplx", reason="the package smplx is not installed")
        return package_files

    def test_smplx_rest_pose_is_the_template(self, files, models):
        import smplx

        model = smplx.create(
            str(files), model_type="smplx", ext="npz", num_betas=20, num_expression_coeffs=36, use_pca=False,
            flat_hand_mean=True, use_face_contour=True,
        )  # fmt: skip
        out = model()
        np.testing.assert_allclose(out.vertices[0].detach().numpy(), models["smplx"]["v_template"], atol=1e-5)
        assert out.joints.shape == (1, 144, 3)
        joints = out.joints[0].detach().numpy()
        np.testing.assert_allclose(joints[:55], rest_joints(models["smplx"]), atol=1e-5)
        assert joints[SMPLX_JOINT_NAMES.index("left_wrist"), 0] > 0

    @pytest.mark.parametrize("kind", ["flame", "mano_left", "mano_right", "smpl"])
    def test_part_models_load_and_rest(self, files, models, kind):
        import smplx

        options = {
            "flame": {"model_type": "flame", "use_face_contour": True, "num_betas": 100, "num_expression_coeffs": 36},
            "smpl": {"model_type": "smpl"},
        }.get(kind, {"model_type": "mano", "use_pca": False, "flat_hand_mean": True, "is_rhand": kind == "mano_right"})
        out = smplx.create(str(files), ext="pkl", **options)()
        np.testing.assert_allclose(out.vertices[0].detach().numpy(), models[kind]["v_template"], atol=1e-5)
