"""Errors against licensed meshes, by toy bodies with files like the licensed ones: by hand, and what is lacking."""

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ply_files import write_ply
from scipy.spatial.transform import Rotation
from toy_bodies import make_toy_assets

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, BodySize
from datasets_manifest.schema.truth_3d import Truth3d
from model.body.asset_files import load_ehm_assets
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.body.skeleton import SMPL_PARENTS
from model.body.skinned import SkinnedBody
from model.metrics.conventions import regress
from model.metrics.person import PosedByParameters
from tasks.evaluate.licensed_meshes import CONVENTIONS, regressors, smpl_vertices, smplx_vertices
from tasks.evaluate.matching import Matching
from tasks.evaluate.mesh_errors import JOINT_ERRORS, MeshErrors
from tasks.evaluate.said import said_table

SIZE = BodySize(num_betas=10, num_flame_shape=10, num_expression=10)
NUM_SMPL = 60
REST = {"global_orient": np.zeros(3, np.float32), "body_pose": np.zeros(69, np.float32)}
rng = np.random.default_rng(3)


@pytest.fixture(scope="module")
def assets():
    body = make_toy_assets(corners=False, correctives=False)
    return dataclasses.replace(body, hand_vertex_ids={"left": np.arange(200, 230), "right": np.arange(300, 330)})


@pytest.fixture(scope="module")
def said(assets):
    """Two people in random poses: their parameters, and the whole mesh."""
    body = EHMs(assets, SIZE)
    turns = {
        "global_orient": 1,
        "body_pose": 21,
        "jaw_pose": 1,
        "eye_pose": 2,
        "left_hand_pose": 15,
        "right_hand_pose": 15,
    }
    given = {name: (0.3 * rng.normal(size=(2, 3 * number))).astype(np.float32) for name, number in turns.items()}
    given |= {"betas": rng.normal(size=(2, 10)).astype(np.float32), "transl_m": np.float32([[0, 0, 3], [1, 0, 4]])}
    neutral = {"head_scale": np.ones((2, 3), np.float32), "eyelids": np.zeros((2, 2), np.float32)}
    neutral |= {name: np.zeros((2, 10), np.float32) for name in ("flame_shape", "flame_expression")}
    given |= {name: value for name, value in neutral.items() if name in LABEL_PARAMETERS}
    assert set(given) == set(LABEL_PARAMETERS)
    with torch.no_grad():
        mesh = body(EhmParameters.from_columns(given)).vertices.double().numpy()
    return given, mesh


def matching(said, *people):
    count = len(people)
    columns = {"sample_id": [f"set/test/{k}.jpg/0" for k in range(count)], "status": ["ok"] * count}
    columns |= {"image_width": [640] * count, "image_height": [480] * count}
    columns |= {name: values[:count] for name, values in said[0].items()}
    return Matching(labels=Columns(said_table(columns, SIZE)), people=tuple(people), num_known=count, num_labels=count)


def of_smpl(gender="male", **turned):
    return PersonRecord(
        index=0, truth_3d=Truth3d(frame="camera", model="smpl", parameters=REST | turned, gender=gender)
    )


def measured(meshes, assets, told):
    return meshes.of(told, SIZE, PosedByParameters(assets, SIZE))


def write_smpl(path, vertices):
    """A model file of SMPL's form, of vertices that hang on the pelvis alone."""
    number, joints = len(vertices), len(SMPL_PARENTS)
    weights = np.eye(joints)[np.zeros(number, int)]
    model = {
        "v_template": vertices,
        "f": np.zeros((1, 3), np.uint32),
        "shapedirs": rng.normal(0, 0.01, (number, 3, 10)),
        "posedirs": np.zeros((number, 3, 9 * (joints - 1))),
        "J_regressor": np.full((joints, number), 1 / number),
        "weights": weights,
        "kintree_table": np.array([np.array(SMPL_PARENTS) % 2**32, np.arange(joints)], np.uint32),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(model, protocol=2))


@pytest.fixture
def licensed(tmp_path, assets, said):
    """Each vertex of SMPL is one of SMPL-X and each joint one vertex: a male SMPL whose right ankle, joint 0 of J19 and
    joint 3 of Human3.6M, is 14 mm off from what is said of the first person, a female one with 28 mm."""
    folder = tmp_path / "licensed"
    rows = rng.choice(assets.smplx.num_vertices, NUM_SMPL, replace=False)
    between = np.zeros((NUM_SMPL, assets.smplx.num_vertices), np.float32)
    between[np.arange(NUM_SMPL), rows] = 1
    for gender, off_m in (("MALE", 0.014), ("FEMALE", 0.028)):
        vertices = said[1][0][rows].copy()
        vertices[0, 1] += off_m
        write_smpl(folder / f"evaluation/SMPL_{gender}.pkl", vertices)
    (folder / "evaluation/smplx2smpl.pkl").write_bytes(pickle.dumps({"matrix": between}, protocol=2))
    j19 = np.eye(NUM_SMPL, dtype=np.float32)[:19]
    h36m = np.eye(NUM_SMPL, dtype=np.float32)[[5, 1, 2, 0, *range(20, 33)]]
    (folder / "evaluation/SMPL_to_J19.pkl").write_bytes(pickle.dumps(j19, protocol=2))
    np.save(folder / "evaluation/J_regressor_h36m.npy", h36m)
    return folder


def test_a_joint_that_is_off_is_one_of_fourteen_by_the_model_of_each_gender(licensed, assets, said, tmp_path):
    meshes = MeshErrors(assets, licensed, tmp_path)
    assert not meshes.lacking
    errors = measured(meshes, assets, matching(said, of_smpl()))[0]
    assert {name: errors[name] for name in ("mpjpe_hmr2_mm", "mpjpe_h36m14_mm")} == pytest.approx(
        {"mpjpe_hmr2_mm": 1.0, "mpjpe_h36m14_mm": 1.0}, abs=1e-3
    )
    assert 0 < errors["pa_mpjpe_hmr2_mm"] < 1.9
    female = measured(meshes, assets, matching(said, of_smpl("female")))[0]
    assert female["mpjpe_hmr2_mm"] == pytest.approx(2.0, abs=1e-3)


def test_a_turned_truth_is_undone_by_alignment_alone(licensed, assets, said, tmp_path):
    meshes = MeshErrors(assets, licensed, tmp_path)
    turned = of_smpl(global_orient=np.float32([0.3, -1, 0.2]))
    straight, other = (measured(meshes, assets, matching(said, own))[0] for own in (of_smpl(), turned))
    assert other["pa_mpjpe_h36m14_mm"] == pytest.approx(straight["pa_mpjpe_h36m14_mm"], abs=1e-3)
    assert other["mpjpe_h36m14_mm"] > 20


def test_a_truth_in_the_world_has_no_camera_to_be_measured_in(licensed, assets, said, tmp_path):
    person = of_smpl()
    person = dataclasses.replace(person, truth_3d=dataclasses.replace(person.truth_3d, frame="world"))
    assert measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, person)) == [{}]


def test_every_file_that_is_not_there_is_named_with_its_place(licensed, assets, said, tmp_path):
    (licensed / "evaluation/SMPL_to_J19.pkl").unlink()
    meshes = MeshErrors(assets, licensed, tmp_path)
    assert list(meshes.lacking) == ["hmr2"]
    assert "Get SMPL_to_J19.pkl from https://github.com/shubham-goel/4D-Humans" in meshes.lacking["hmr2"]
    assert f"put it at {licensed}/evaluation/SMPL_to_J19.pkl. Licence: research" in meshes.lacking["hmr2"]
    assert set(measured(meshes, assets, matching(said, of_smpl()))[0]) == {"mpjpe_h36m14_mm", "pa_mpjpe_h36m14_mm"}
    assert set(MeshErrors(assets, None, tmp_path).lacking) == {"hmr2", "h36m14", "hands"}
    no_hands = MeshErrors(dataclasses.replace(assets, hand_vertex_ids={}), licensed, tmp_path)
    assert "--hand-ids MANO_SMPLX_vertex_ids.pkl" in no_hands.lacking["hands"]


def test_a_gender_without_its_model_leaves_nobody_measured(licensed, assets, said, tmp_path):
    (licensed / "evaluation/SMPL_FEMALE.pkl").unlink()
    meshes = MeshErrors(assets, licensed, tmp_path)
    assert measured(meshes, assets, matching(said, of_smpl(), of_smpl("female"))) == [{}, {}]
    assert "SMPL_FEMALE.pkl from https://smpl.is.tue.mpg.de" in meshes.lacking["h36m14"]
    assert meshes.unknown_joints == set(JOINT_ERRORS)


def test_matrices_of_other_meshes_are_refused(licensed, assets, said, tmp_path):
    np.save(licensed / "evaluation/J_regressor_h36m.npy", np.eye(NUM_SMPL + 1)[:17])
    with pytest.raises(ValueError, match=r"J_regressor_h36m.npy: expected a matrix \(17, 60\)"):
        measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, of_smpl()))


# --- hands ------------------------------------------------------------------------------------------------------------
def aligned_mm(points, target):
    """Distances (V,) after Procrustes, plainly."""
    a, b = points - points.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return 1e3 * np.linalg.norm((s * np.diag(flip)).sum() / (a**2).sum() * a @ u @ flip @ vt - b, axis=1)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_hands_of_a_registered_mesh_are_aligned_each_by_itself(licensed, assets, said, tmp_path, form):
    mesh = 1.3 * said[1][0] @ Rotation.from_rotvec([3, 0, 0.1]).as_matrix().T + [0.1, 2, 3]
    mesh[300:330] += 0.01 * rng.normal(size=(30, 3))
    write_ply(tmp_path / "01_align.ply", mesh, form)
    person = PersonRecord(index=0, mesh="01_align.ply")
    errors = measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, person))[0]
    right = aligned_mm(said[1][0][300:330], mesh[300:330].astype(np.float32)).mean()
    assert errors["left_hand_pa_pve_mm"] < 1e-2 < 5 < right
    assert errors["right_hand_pa_pve_mm"] == pytest.approx(right, rel=1e-4)
    assert errors["pa_pve_mm"] == pytest.approx(aligned_mm(said[1][0], mesh.astype(np.float32)).mean(), rel=1e-3)
    assert errors["face_pa_pve_mm"] < 0.1 < errors["pa_pve_mm"]


def smplx_truth(**known):
    """Hands and trunk as the flat numbers of UBody."""
    parameters = {
        "global_orient": np.float32([0.1, 0.2, 0.3]),
        "body_pose": np.zeros(63, np.float32),
        "left_hand_pose": (0.1 * rng.normal(size=45)).astype(np.float32),
        "right_hand_pose": (0.1 * rng.normal(size=45)).astype(np.float32),
        "jaw_pose": np.zeros(3, np.float32),
        "betas": rng.normal(size=10).astype(np.float32),
        "transl": np.float32([0, 0, 50]),
    }
    return Truth3d(frame="camera", model="smplx", parameters=parameters, **known)


def as_said(truth, assets):
    """The same person as a label says it: hands from the flat hand, the place of the pelvis."""
    flat = {name: np.float64(value) for name, value in truth.parameters.items()}
    for side, mean in zip(("left", "right"), assets.smplx.hands_mean, strict=True):
        flat[f"{side}_hand_pose"] = flat[f"{side}_hand_pose"] + mean
    names = ("global_orient", "body_pose", "jaw_pose", "left_hand_pose", "right_hand_pose", "betas")
    given = {name: flat[name][None].astype(np.float32) for name in names} | {"eye_pose": np.zeros((1, 6))}
    neutral = {"head_scale": np.ones((1, 3)), "eyelids": np.zeros((1, 2)), "transl_m": np.float32([[0, 0, 50]])}
    neutral |= {name: np.zeros((1, 10)) for name in ("flame_shape", "flame_expression")}
    return given | neutral


def test_truth_in_parameters_is_posed_as_smplx_is(licensed, assets, tmp_path):
    truth = smplx_truth()
    told = matching((as_said(truth, assets), None), PersonRecord(index=0, truth_3d=truth))
    errors = measured(MeshErrors(assets, licensed, tmp_path), assets, told)[0]
    assert errors.keys() == {"left_hand_pa_pve_mm", "right_hand_pa_pve_mm"}
    assert max(errors.values()) < 1e-2


def test_faces_and_whole_meshes_need_a_truth_of_both_and_count_inside_the_photo(licensed, assets, said, tmp_path):
    truth = smplx_truth()
    truth = dataclasses.replace(truth, parameters=truth.parameters | {"expression": np.zeros(10, np.float32)})
    own, head = smplx_vertices(SkinnedBody(assets.smplx), truth).numpy(), assets.head_vertex_ids
    edge = np.median(own[head, 0] / own[head, 2])
    truth = dataclasses.replace(truth, intrinsics_px=(1000.0, 1000.0, -1000.0 * edge, 240.0))
    person = PersonRecord(index=0, truth_3d=truth)
    errors = measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, person))[0]
    is_inside = own[:, 0] / own[:, 2] > edge
    assert 0 < is_inside[head].sum() < len(head)
    expected = aligned_mm(said[1][0], own)[is_inside].mean()
    assert errors["pa_pve_mm"] == pytest.approx(expected, rel=1e-3)
    expected = aligned_mm(said[1][0][head], own[head])[is_inside[head]].mean()
    assert errors["face_pa_pve_mm"] == pytest.approx(expected, rel=1e-3)


def test_vertices_count_that_the_camera_of_the_truth_puts_inside_the_photo(licensed, assets, said, tmp_path):
    """By the rule of UBody: all vertices align a hand, those inside count, and a hand without any has no error."""
    truth = smplx_truth()
    left, right = slice(200, 230), slice(300, 330)
    own = smplx_vertices(SkinnedBody(assets.smplx), truth).numpy()
    edge = np.median(own[left, 0] / own[left, 2])
    focal = 1000.0
    intrinsics = (focal, focal, -focal * edge, 240.0)  # x of half the left hand's vertices is above 0
    person = PersonRecord(index=0, truth_3d=dataclasses.replace(truth, intrinsics_px=intrinsics))
    errors = measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, person))[0]
    distances = aligned_mm(said[1][0][left], own[left])
    inside = own[left, 0] / own[left, 2] > edge
    assert 0 < inside.sum() < 30
    assert errors["left_hand_pa_pve_mm"] == pytest.approx(distances[inside].mean(), rel=1e-3)
    inside = own[right, 0] / own[right, 2] > edge
    if inside.any():
        expected = aligned_mm(said[1][0][right], own[right])[inside].mean()
        assert errors["right_hand_pa_pve_mm"] == pytest.approx(expected, rel=1e-3)
    nowhere = PersonRecord(index=0, truth_3d=dataclasses.replace(truth, intrinsics_px=(focal, focal, -9e5, 0.0)))
    assert measured(MeshErrors(assets, licensed, tmp_path), assets, matching(said, nowhere)) == [{}]


def test_a_mesh_that_is_not_there_or_of_another_body_ends_the_measurement(licensed, assets, said, tmp_path):
    told = matching(said, PersonRecord(index=0, mesh="01_align.ply"))
    with pytest.raises(ValueError, match=r"01_align\.ply does not exist"):
        measured(MeshErrors(assets, licensed, tmp_path), assets, told)
    write_ply(tmp_path / "01_align.ply", said[1][0][:-1])
    with pytest.raises(ValueError, match=r"has 479 vertices, expected the 480 of toy_smplx"):
        measured(MeshErrors(assets, licensed, tmp_path), assets, told)


# --- licensed files ---------------------------------------------------------------------------------------------------
@pytest.mark.licensed
def test_licensed_files(tmp_path):
    """PEAR_LICENSED_BODIES names a folder with converted bodies and the files of ``evaluation/``: of the neutral SMPL-X
    at rest, joints are where those of the neutral SMPL are, to its shape."""
    folder = os.environ.get("PEAR_LICENSED_BODIES")
    if not folder:
        pytest.skip("PEAR_LICENSED_BODIES does not name a folder of converted bodies")
    body = load_ehm_assets(Path(folder))
    assert not MeshErrors(body, Path(folder), tmp_path).lacking
    for convention in CONVENTIONS:
        of_smpl, of_smplx = regressors(Path(folder), convention)
        for matrix in (of_smpl, of_smplx):
            torch.testing.assert_close(matrix.sum(1), torch.ones_like(matrix[:, 0]), atol=2e-2, rtol=0)
        truth = Truth3d(frame="camera", model="smpl", parameters=REST, gender="male")
        known = regress(of_smpl, smpl_vertices(Path(folder), [truth]))
        said = regress(of_smplx, torch.from_numpy(body.smplx.v_template)[None])
        assert convention.errors(said, known)["pa_mpjpe_mm"].item() < 60
