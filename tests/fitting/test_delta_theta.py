"""Delta-theta: the known rest offset is found and posed surfaces meet. Truth is the builder's, or a chosen pose."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fitting import so3
from fitting.delta_theta import DeltaTheta, cache_key, compute_delta_theta
from fitting.rest_alignment import AlignConfig, surface_points, vertex_weights
from model.body.asset_files import load_body
from model.body.assets import BodyAssets, load_open_part
from model.body.open_body.load import load_arrays
from model.body.skeleton import SMPL_PARENTS, SMPLX_FLIP, SMPLX_JOINT_NAMES, SMPLX_PARENTS
from model.body.skinned import SkinnedBody
from model.body.surface_map import SurfaceMap, load_open_surface_map, load_surface_map
from model.rotations import mirror_rotvec

NAMES = SMPLX_JOINT_NAMES[1:22]
COMPOSITIONS = ("copy", "additive", "conjugate")


@pytest.fixture(scope="module")
def bodies() -> tuple[BodyAssets, BodyAssets, SurfaceMap]:
    return load_open_part("smpl"), load_open_part("smplx"), load_open_surface_map()


@pytest.fixture(scope="module")
def transfer(bodies) -> DeltaTheta:
    return compute_delta_theta(*bodies)


def truth_rad() -> np.ndarray:
    """The builder's pose (21, 3) of SMPL-X that is the rest of the SMPL-like part."""
    return load_arrays()["smpl_rest_rotvec"][1:22].astype(np.float64)


def errors_deg(found_rad, expected_rad) -> np.ndarray:
    found, expected = (so3.exp(torch.as_tensor(r, dtype=torch.float64)) for r in (found_rad, expected_rad))
    return so3.angle_between(found, expected).rad2deg().numpy()


def random_rotations(rng: np.random.Generator, sigma_rad: float, *shape: int) -> torch.Tensor:
    return so3.exp(torch.tensor(rng.normal(0, sigma_rad, (*shape, 3)), dtype=torch.float32))


def posed_errors_m(bodies, transfer, sigma_rad: float, shape_sigma: float = 0.0, num_poses: int = 16, seed: int = 3):
    """Mean distance of matched trunk and limb vertices over random poses, for each composition."""
    smpl, smplx, surface = bodies
    rng = np.random.default_rng(seed)
    pose, orient = random_rotations(rng, sigma_rad, num_poses, 23), random_rotations(rng, 1.0, num_poses)
    betas = torch.tensor(rng.normal(0, shape_sigma, (num_poses, 10)), dtype=torch.float32)
    pelvis = transfer.pelvis_m(torch.zeros(num_poses, 3), betas)
    used = torch.from_numpy(vertex_weights(smplx, 1.0)[surface.smplx_ids] > 0)
    target = SkinnedBody(smpl, num_betas=10)(body_pose=pose, global_orient=orient, betas=betas, transl=pelvis).vertices
    target = surface_points(surface, target)[:, used]
    body = SkinnedBody(smplx, num_betas=len(transfer.betas_offset), num_expression=0)
    found = {}
    for composition in COMPOSITIONS:
        moved = body(
            body_pose=transfer.apply(pose, composition),
            global_orient=orient,
            betas=transfer.betas(betas),
            transl=pelvis,
        ).vertices[:, torch.from_numpy(surface.smplx_ids)][:, used]
        found[composition] = (moved - target).norm(dim=-1).mean(-1)
    return found


# --- the known offset -------------------------------------------------------------------------------------------------
def test_the_known_offset_is_recovered_and_nothing_else(transfer):
    truth = truth_rad()
    assert np.degrees(np.abs(truth).max()) > 5, "the bodies rest alike: this test would prove nothing"
    errors = dict(zip(NAMES, errors_deg(transfer.dtheta_rad, truth), strict=True))
    assert max(errors.values()) < 0.3, errors


def test_rest_surfaces_meet(bodies, transfer):
    smpl, smplx, surface = bodies
    body = SkinnedBody(smplx, num_betas=10)
    used = np.flatnonzero(vertex_weights(smplx, 1.0)[surface.smplx_ids])
    target = torch.from_numpy(smpl.v_template[used])
    pelvis = torch.from_numpy(smpl.joint_regressor[0] @ smpl.v_template)

    def error_m(pose_rad):
        pose = so3.exp(torch.as_tensor(pose_rad, dtype=torch.float32))
        betas = torch.tensor(transfer.betas_offset, dtype=torch.float32)
        vertices = body(body_pose=pose, betas=betas, transl=pelvis).vertices[torch.from_numpy(surface.smplx_ids[used])]
        return float((vertices - target).norm(dim=-1).mean())

    copied, aligned = error_m(np.zeros((21, 3))), error_m(transfer.dtheta_rad)
    assert copied > 0.015
    assert aligned < 0.01 * copied
    assert transfer.copied_error_m == pytest.approx(copied, rel=0.2), "shape and place can hide little of it"
    assert transfer.aligned_error_m == pytest.approx(aligned, abs=1e-4)


def test_left_mirrors_right(transfer):
    flip = np.array(SMPLX_FLIP[1:22]) - 1
    mirrored = mirror_rotvec(torch.from_numpy(transfer.dtheta_rad)).numpy()[flip]
    assert errors_deg(mirrored, transfer.dtheta_rad).max() < 0.02
    assert errors_deg(transfer.dtheta_rad[flip], transfer.dtheta_rad).max() > 5, "unmirrored, they differ"


def test_the_pelvis_is_not_turned_or_moved(transfer):
    assert np.array_equal(transfer.alignment[0], np.eye(3))
    assert np.abs(transfer.pelvis_offset_m).max() < 1e-3


# --- any pose ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sigma_rad", [0.2, 0.4])
def test_conjugate_beats_additive_beats_copying(bodies, transfer, sigma_rad):
    error = posed_errors_m(bodies, transfer, sigma_rad)
    assert (error["conjugate"] < error["additive"]).all()
    assert (error["additive"] < error["copy"]).all()
    mean = {name: float(value.mean()) for name, value in error.items()}
    assert mean["conjugate"] < 0.0005
    assert mean["conjugate"] < 0.1 * mean["additive"] < 0.05 * mean["copy"]


def test_the_way_back_gives_the_pose_and_the_shape_again(transfer):
    rng = np.random.default_rng(5)
    pose = so3.exp(torch.from_numpy(rng.normal(0, 0.5, (4, 21, 3))))
    assert torch.allclose(transfer.smpl_pose(transfer.apply(pose)), pose, atol=1e-12)
    betas = torch.from_numpy(rng.normal(size=(4, transfer.betas_matrix.shape[1])))
    assert torch.allclose(transfer.smpl_betas(transfer.betas(betas)), betas, atol=1e-6)


def test_at_rest_conjugate_and_additive_agree(bodies, transfer):
    error = posed_errors_m(bodies, transfer, 0.0, num_poses=1)
    assert float(error["conjugate"]) == pytest.approx(float(error["additive"]), abs=1e-6)
    assert float(error["conjugate"]) < 1e-4 < 0.02 < float(error["copy"])
    rest = torch.eye(3, dtype=torch.float64).expand(23, 3, 3)
    for composition in ("conjugate", "additive"):
        assert torch.allclose(transfer.apply(rest, composition), so3.exp(torch.from_numpy(transfer.dtheta_rad)))


def test_other_people_are_carried_over_as_well(bodies, transfer):
    error = posed_errors_m(bodies, transfer, 0.2, shape_sigma=1.0)
    assert float(error["conjugate"].mean()) < 0.002 < 0.02 < float(error["copy"].mean())


def test_conjugate_turns_every_part_like_its_counterpart(transfer):
    """World rotations: G'_j = G_j A_j for any pose."""
    pose = random_rotations(np.random.default_rng(5), 1.0, 4, 23).double()

    def world(local, parents):
        found = [torch.eye(3, dtype=torch.float64).expand(4, 3, 3)]
        for joint, parent in enumerate(parents[1:22]):
            found.append(found[parent] @ local[:, joint])
        return torch.stack(found, 1)

    expected = world(pose, SMPL_PARENTS) @ torch.from_numpy(transfer.alignment)
    assert torch.allclose(world(transfer.apply(pose), SMPLX_PARENTS), expected, atol=1e-10)


def test_about_one_axis_the_paper_equation_is_exact(transfer):
    """Turns about one axis commute, so there the additive form and the conjugate one are the same."""
    rng = np.random.default_rng(6)
    about_z = np.zeros((21, 3))
    about_z[:, 2] = rng.normal(0, 0.1, 21)
    local = so3.exp(torch.from_numpy(about_z))
    alignment = [torch.eye(3, dtype=torch.float64)]
    for joint, parent in enumerate(SMPLX_PARENTS[1:22]):
        alignment.append(alignment[parent] @ local[joint])
    made = dataclasses.replace(transfer, dtheta_rad=about_z, alignment=torch.stack(alignment).numpy())
    pose_rad = torch.zeros(5, 21, 3, dtype=torch.float64)
    pose_rad[..., 2] = torch.from_numpy(rng.normal(0, 0.5, (5, 21)))
    pose = so3.exp(pose_rad)
    assert torch.allclose(made.apply(pose, "additive"), made.apply(pose, "conjugate"), atol=1e-10)
    assert torch.allclose(made.apply(pose, "additive"), so3.exp(pose_rad + torch.from_numpy(about_z)), atol=1e-10)


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_hand_joints_are_dropped_and_batches_kept(transfer, composition):
    pose = random_rotations(np.random.default_rng(7), 0.5, 2, 3, 23)
    found = transfer.apply(pose, composition)
    assert found.shape == (2, 3, 21, 3, 3)
    assert found.dtype == pose.dtype
    assert torch.equal(found, transfer.apply(pose[:, :, :21], composition))
    assert torch.allclose(found[1, 2], transfer.apply(pose[1, 2], composition), atol=1e-6)
    if composition == "copy":
        assert torch.equal(found, pose[:, :, :21])


def test_wrong_poses_and_compositions_are_refused(transfer):
    with pytest.raises(ValueError, match="expected"):
        transfer.apply(torch.eye(3).expand(22, 3, 3))
    with pytest.raises(ValueError, match="composition"):
        transfer.apply(torch.eye(3).expand(21, 3, 3), "sum")


# --- other rest poses, other shape spaces -----------------------------------------------------------------------------
@pytest.mark.long
def test_bodies_that_rest_alike_need_no_change(bodies):
    smpl, smplx, surface = bodies
    ids = surface.smplx_ids
    same = dataclasses.replace(smpl, v_template=smplx.v_template[ids], shapedirs=smplx.shapedirs[ids][..., :10])
    found = compute_delta_theta(same, smplx, surface)
    assert np.degrees(np.abs(found.dtheta_rad).max()) < 1e-3
    assert found.copied_error_m < 1e-6
    assert np.abs(found.betas_matrix - np.eye(10)).max() < 0.05


@pytest.mark.long
def test_any_offset_is_found_despite_outliers_and_another_shape_space(bodies):
    """SMPL's rest := SMPL-X in a random pose and shape, 2 % of it wrong by 10 cm; SMPL-X's shape space is turned.

    Priors are weak: by default they hold the trunk near zero.
    """
    smpl, smplx, surface = bodies
    rng = np.random.default_rng(8)
    truth = rng.normal(0, np.radians(6), (21, 3))
    truth[[NAMES.index(name) for name in ("head", "left_wrist", "right_wrist")]] = 0
    mixing = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    shape = rng.normal(0, 1, 10)
    turned = dataclasses.replace(smplx, shapedirs=(smplx.shapedirs[..., :10] @ mixing).astype(np.float32))
    out = SkinnedBody(turned)(body_pose=so3.exp(torch.tensor(truth).float()), betas=torch.tensor(shape).float())
    template = out.vertices[torch.from_numpy(surface.smplx_ids)].numpy().copy()
    wrong = rng.choice(len(template), len(template) // 50, replace=False)
    template[wrong] += rng.normal(0, 0.1, (len(wrong), 3)).astype(np.float32)

    weak_priors = AlignConfig(limb_prior_m=1e-4, trunk_prior_m=1e-4)
    found = compute_delta_theta(dataclasses.replace(smpl, v_template=template), turned, surface, weak_priors)
    seen = [k for k, name in enumerate(NAMES) if name not in ("head", "left_wrist", "right_wrist")]
    assert errors_deg(found.dtheta_rad, truth)[seen].max() < 0.3
    assert np.abs(found.betas_offset - shape).max() < 0.3

    def shaped(betas):
        return np.einsum("vcs,s->vc", turned.shapedirs[surface.smplx_ids], betas)

    betas = rng.normal(0, 1, 10)
    moved = np.einsum("vcs,s->vc", smplx.shapedirs[surface.smplx_ids][..., :10], betas)
    used = vertex_weights(smplx, 1.0)[surface.smplx_ids] > 0

    def error_m(mapped):
        return np.linalg.norm((shaped(mapped) - moved)[used], axis=-1).mean()

    mapped = found.betas(torch.from_numpy(betas)).numpy() - found.betas_offset
    assert error_m(mapped) < 0.25 * error_m(betas)


def test_weights_leave_out_what_differs_and_favour_limbs(bodies):
    smplx = bodies[1]
    weights = vertex_weights(smplx, 3.0)
    at = {name: weights[vertex] for name, vertex in smplx.keypoint_vertices.items()}
    assert at["nose"] == at["left_eye"] == at["left_thumb"] == at["right_middle"] == 0
    assert at["left_heel"] == at["right_big_toe"] == pytest.approx(3.0)
    belly = np.argmax(smplx.skin_weights[:, SMPLX_JOINT_NAMES.index("spine1")])
    assert 0 < weights[belly] <= 1.5


# --- place, files, errors ---------------------------------------------------------------------------------------------
def test_translation_keeps_the_pelvis_where_it_was(bodies, transfer):
    """As SMPL and SMPL-X define translation, it is added to the body whose pelvis is at its rest place."""
    rng = np.random.default_rng(9)
    betas = torch.tensor(rng.normal(0, 1, (4, 10)), dtype=torch.float32)
    transl = torch.tensor(rng.normal(0, 2, (4, 3)), dtype=torch.float32)
    smpl_pelvis = SkinnedBody(bodies[0], num_betas=10)(betas=betas).joints[:, 0] + transl
    smplx_rest = SkinnedBody(bodies[1], num_betas=10)(betas=transfer.betas(betas)).joints[:, 0]
    assert torch.allclose(transfer.pelvis_m(transl, betas), smpl_pelvis, atol=1e-5)
    assert torch.allclose(smplx_rest + transfer.smplx_transl_m(transl, betas), smpl_pelvis, atol=1e-5)
    assert torch.allclose(transfer.pelvis_m(transl, betas[:, :0]), transfer.pelvis_m(transl, 0 * betas))


def test_arrays_round_trip(transfer):
    back = DeltaTheta.from_arrays(transfer.to_arrays())
    for field in dataclasses.fields(DeltaTheta):
        assert np.array_equal(getattr(back, field.name), getattr(transfer, field.name)), field.name


def test_damaged_arrays_are_refused(transfer):
    arrays = transfer.to_arrays()
    for change in ({"alignment": arrays["alignment"][:5]}, {"dtheta_rad": arrays["dtheta_rad"] * np.nan}):
        with pytest.raises(ValueError, match="delta-theta"):
            DeltaTheta.from_arrays(arrays | change)


def test_the_key_names_every_input(bodies, transfer):
    smpl, smplx, surface = bodies
    config = AlignConfig()
    assert transfer.key == cache_key(smpl, smplx, surface, config)
    fewer = SurfaceMap(
        smplx_ids=surface.smplx_ids[1:], smpl_ids=surface.smpl_ids[1:], smpl_weights=surface.smpl_weights[1:]
    )
    others = {
        cache_key(dataclasses.replace(smpl, sha256="0"), smplx, surface, config),
        cache_key(smpl, dataclasses.replace(smplx, sha256="0"), surface, config),
        cache_key(smpl, smplx, fewer, config),
        cache_key(smpl, smplx, surface, dataclasses.replace(config, limb_weight=2.0)),
    }
    assert len(others | {transfer.key}) == 5


def test_bodies_that_do_not_belong_together_are_refused(bodies):
    smpl, smplx, surface = bodies
    with pytest.raises(ValueError, match="needs a SMPL body"):
        compute_delta_theta(smplx, smplx, surface)
    beyond = dataclasses.replace(surface, smpl_ids=surface.smpl_ids + 10)
    with pytest.raises(ValueError, match="surface map names vertex"):
        compute_delta_theta(smpl, smplx, beyond)
    with pytest.raises(ValueError, match="limb_weight"):
        AlignConfig(limb_weight=0.0)


# --- licensed bodies --------------------------------------------------------------------------------------------------
@pytest.mark.licensed
def test_licensed_bodies():
    """PEAR_LICENSED_BODIES names a folder with smpl.npz, smplx.npz and smpl_to_smplx.npz of `model.body.convert`."""
    folder = os.environ.get("PEAR_LICENSED_BODIES")
    if not folder:
        pytest.skip("PEAR_LICENSED_BODIES does not name a folder of converted bodies")
    path = Path(folder)
    smpl, smplx = load_body(path / "smpl.npz", "smpl"), load_body(path / "smplx.npz", "smplx")
    bodies = (smpl, smplx, load_surface_map(path / "smpl_to_smplx.npz"))
    found = compute_delta_theta(*bodies)
    assert found.aligned_error_m < 0.7 * found.copied_error_m
    assert np.degrees(np.linalg.norm(found.dtheta_rad, axis=-1)).max() < 25
    limbs = [k for k, name in enumerate(NAMES) if name.endswith(("hip", "knee", "ankle"))]
    flip = np.array(SMPLX_FLIP[1:22]) - 1
    mirrored = mirror_rotvec(torch.from_numpy(found.dtheta_rad)).numpy()[flip]
    assert errors_deg(mirrored, found.dtheta_rad)[limbs].max() < 6, "the legs of the models are nearly symmetric"
    for sigma_rad in (0.0, 0.2, 0.4):
        error = {name: float(e.mean()) for name, e in posed_errors_m(bodies, found, sigma_rad).items()}
        assert error["conjugate"] < error["copy"]
