"""Laws of EHM-s: what scaling, fusing, mirroring and moving must and must not change."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.body import lbs, skeleton
from model.body.assets import EhmAssets, load_open_body
from model.body.blended_head import blended_basis, head_weight
from model.body.ehms import EhmOutput, EHMs
from model.body.flame import FLAME
from model.body.keypoints import contour_row
from model.body.parameters import EhmParameters
from model.body.skinned import SkinnedBody
from model.rotations import mirror_rotmat, rotvec_to_rotmat

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def assets() -> EhmAssets:
    return load_open_body()


@pytest.fixture(scope="module")
def blended(assets: EhmAssets) -> EHMs:
    return EHMs(assets)


@pytest.fixture(scope="module")
def paper(assets: EhmAssets) -> EHMs:
    return EHMs(dataclasses.replace(assets, fusion="paper"))


def _random(*shape: int, scale: float, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def _arguments(*batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random arguments with every part in use."""

    def rotation(*shape: int, scale: float = 0.3) -> Tensor:
        return rotvec_to_rotmat(_random(*batch, *shape, 3, scale=scale, seed=seed + sum(shape)))

    return {
        "betas": _random(*batch, 10, scale=1.0, seed=seed + 1),
        "body_pose": rotation(21),
        "global_orient": rotation(scale=1.0),
        "left_hand_pose": rotation(15),
        "right_hand_pose": rotation(15, scale=0.2),
        "flame_shape": _random(*batch, 10, scale=1.0, seed=seed + 2),
        "flame_expression": _random(*batch, 10, scale=1.0, seed=seed + 3),
        "jaw_pose": rotation(scale=0.1),
        "eye_pose": rotation(2, scale=0.1),
        "eyelids": _random(*batch, 2, scale=0.3, seed=seed + 4).abs(),
        "head_scale": 1.0 + _random(*batch, 3, scale=0.1, seed=seed + 5),
        "transl_m": _random(*batch, 3, scale=1.0, seed=seed + 6),
    }


def posed(model: EHMs, **given: Tensor) -> EhmOutput:
    """People of whom all else is neutral."""
    return model(EhmParameters.neutral(**given))


def _distance(a: EhmOutput, b: EhmOutput) -> float:
    pairs = ((a.vertices, b.vertices), (a.joints, b.joints), (a.keypoints, b.keypoints))
    return max((x - y).abs().max().item() for x, y in pairs)


@pytest.fixture(params=["blended", "paper"])
def model(request: pytest.FixtureRequest) -> EHMs:
    return request.getfixturevalue(request.param)


# --- both definitions -------------------------------------------------------------------------------------------------
def test_a_rigid_motion_moves_everything_rigidly(model: EHMs) -> None:
    """All but the contour points, whose place on the face depends on the yaw that the motion changes."""
    arguments = _arguments(3)
    turn = rotvec_to_rotmat(torch.tensor([0.4, 0.0, -0.9]))
    shift = torch.tensor([0.3, -1.0, 2.0])
    still = posed(model, **arguments)
    moved = posed(
        model,
        **{
            **arguments,
            "global_orient": turn @ arguments["global_orient"],
            "transl_m": arguments["transl_m"] @ turn.T + shift,
        },
    )
    fixed = [k for k in range(133) if not 23 <= k < 40]
    assert (moved.vertices - (still.vertices @ turn.T + shift)).abs().max() < 1e-5
    assert (moved.joints - (still.joints @ turn.T + shift)).abs().max() < 1e-5
    assert (moved.keypoints[:, fixed] - (still.keypoints[:, fixed] @ turn.T + shift)).abs().max() < 1e-5


def test_the_pelvis_lands_on_transl(model: EHMs) -> None:
    arguments = _arguments(4)
    assert (posed(model, **arguments).joints[:, 0] - arguments["transl_m"]).abs().max() < 1e-6


def test_a_batch_equals_its_rows(model: EHMs) -> None:
    arguments = _arguments(3)
    whole = posed(model, **arguments)
    for row in range(3):
        alone = posed(model, **{name: value[row] for name, value in arguments.items()})
        pick = EhmOutput(vertices=whole.vertices[row], joints=whole.joints[row], keypoints=whole.keypoints[row])
        assert _distance(alone, pick) < 2e-6


def test_any_leading_dimensions(model: EHMs) -> None:
    arguments = _arguments(2, 3)
    out = posed(model, **arguments)
    flat = posed(model, **{name: value.flatten(0, 1) for name, value in arguments.items()})
    assert out.vertices.shape[:2] == out.keypoints.shape[:2] == (2, 3)
    assert (out.vertices.flatten(0, 1) - flat.vertices).abs().max() < 2e-6
    assert posed(model).keypoints.shape == (133, 3)
    assert posed(model, betas=torch.zeros(0, 10)).vertices.shape[0] == 0


def test_arguments_broadcast_and_short_coefficients_are_padded(model: EHMs) -> None:
    arguments = _arguments(3)
    shared = arguments | {"betas": arguments["betas"][:1], "flame_expression": arguments["flame_expression"][0, :4]}
    padded = torch.cat([arguments["flame_expression"][:1, :4], torch.zeros(1, 6)], dim=-1)
    full = arguments | {"betas": shared["betas"].expand(3, 10), "flame_expression": padded.expand(3, 10)}
    assert _distance(posed(model, **shared), posed(model, **full)) < 2e-6


def test_gradients_agree_with_finite_differences(model: EHMs) -> None:
    precise = EHMs(model.assets).double()
    names = ("betas", "flame_shape", "flame_expression", "eyelids", "head_scale", "transl_m")
    values = {k: v.double() for k, v in _arguments(1).items()}
    rotvec = {k: _random(1, n, 3, scale=0.3, seed=n).double() for k, n in (("body_pose", 21), ("eye_pose", 2))}
    probe = _random(133, 3, scale=1.0, seed=9).double()

    def loss(*inputs: Tensor) -> Tensor:
        given = dict(zip((*names, *rotvec), inputs, strict=True))
        given |= {k: rotvec_to_rotmat(given[k]) for k in rotvec}
        out = precise(EhmParameters.neutral(dtype=torch.float64, **given))
        return (out.keypoints * probe).sum() + out.vertices[:, ::400].square().sum()

    inputs = [values[k].requires_grad_() for k in names] + [v.requires_grad_() for v in rotvec.values()]
    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True, eps=1e-6, atol=1e-6)


def test_too_many_coefficients_and_wrong_shapes_are_named(model: EHMs) -> None:
    with pytest.raises(ValueError, match="flame_shape has 11 coefficients, this body has 10"):
        posed(model, flame_shape=torch.zeros(11))
    with pytest.raises(ValueError, match="body_pose has shape"):
        posed(model, body_pose=torch.zeros(63))
    with pytest.raises(
        ValueError, match=r"batch dimensions of the arguments do not agree: .*betas \(2,\).*eyelids \(3,\)"
    ):
        posed(model, betas=torch.zeros(2, 10), eyelids=torch.zeros(3, 2))


# --- blended ----------------------------------------------------------------------------------------------------------
def test_without_flame_parameters_blended_is_smplx(assets: EhmAssets, blended: EHMs) -> None:
    names = (
        "betas",
        "body_pose",
        "global_orient",
        "left_hand_pose",
        "right_hand_pose",
        "jaw_pose",
        "eye_pose",
        "transl_m",
    )
    arguments = {k: v for k, v in _arguments(3).items() if k in names}
    plain = SkinnedBody(assets.smplx, num_betas=10)(
        transl=arguments["transl_m"], **{k: arguments[k] for k in names[:-1]}
    )
    fused = posed(blended, **arguments, head_scale=torch.ones(3))
    assert (fused.vertices - plain.vertices).abs().max() < 1e-6
    assert (fused.joints - plain.joints).abs().max() < 1e-6


def test_blended_scales_the_head_about_its_joint(assets: EhmAssets, blended: EHMs) -> None:
    scale = torch.tensor([1.3, 0.8, 1.1])
    rest, grown = posed(blended), posed(blended, head_scale=scale)
    head = rest.joints[skeleton.HEAD]
    inside = torch.from_numpy(head_weight(assets) == 1)
    assert inside.sum() > 1000
    assert (grown.vertices[inside] - (head + scale * (rest.vertices[inside] - head))).abs().max() < 1e-6
    face = [skeleton.JAW, skeleton.LEFT_EYE, skeleton.RIGHT_EYE]
    assert (grown.joints[face] - (head + scale * (rest.joints[face] - head))).abs().max() < 1e-6
    others = [j for j in range(55) if j not in face]
    assert torch.equal(grown.joints[others], rest.joints[others])


def test_the_blended_face_is_the_flame_face(assets: EhmAssets, blended: EHMs) -> None:
    """FLAME's own skinning of shape, expression, lids, jaw and eyes is the oracle where the head is all FLAME."""
    names = ("flame_shape", "flame_expression", "jaw_pose", "eye_pose", "eyelids")
    arguments = {k: v for k, v in _arguments(4).items() if k in names}
    out = posed(blended, **arguments)
    face = {k: arguments[k] for k in names[2:]}
    head = FLAME(assets.flame, num_betas=10, num_expression=10)(
        betas=arguments["flame_shape"], expression=arguments["flame_expression"], **face
    )
    whole = blended.head_weight[assets.head_vertex_ids] == 1
    assert whole.sum() > 1000
    ours = out.vertices[:, assets.head_vertex_ids] - out.joints[:, skeleton.HEAD, None]
    theirs = head.vertices - head.joints[:, 1, None]
    assert (ours - theirs)[:, whole].abs().max() < 1e-5
    eyes = out.joints[:, skeleton.SMPLX_EYES] - out.joints[:, skeleton.HEAD, None]
    assert (eyes - (head.joints[:, skeleton.FLAME_EYES] - head.joints[:, 1, None])).abs().max() < 1e-5


def test_a_flame_direction_that_moves_the_whole_head_changes_nothing(assets: EhmAssets, blended: EHMs) -> None:
    """FLAME offsets count from the head joint: where FLAME's origin lies in its file does not matter."""
    shift = np.zeros_like(assets.flame.shapedirs)
    shift[..., :10] = np.array([0.01, 0.03, -0.02])[:, None]
    flame = dataclasses.replace(assets.flame, shapedirs=assets.flame.shapedirs + shift)
    shifted = EHMs(dataclasses.replace(assets, flame=flame))
    arguments = _arguments(2)
    assert _distance(posed(shifted, **arguments), posed(blended, **arguments)) < 1e-5


def test_flame_parameters_leave_the_body_alone(assets: EhmAssets, blended: EHMs) -> None:
    arguments = _arguments(2)
    face = ("flame_shape", "flame_expression", "jaw_pose", "eye_pose", "eyelids", "head_scale")
    out, plain = posed(blended, **arguments), posed(blended, **{k: v for k, v in arguments.items() if k not in face})
    below = np.setdiff1d(np.arange(assets.smplx.num_vertices), assets.head_vertex_ids)
    below = below[assets.smplx.skin_weights[below][:, [22, 23, 24]].sum(1) == 0]
    assert len(below) > 8000
    assert (out.vertices[:, below] - plain.vertices[:, below]).abs().max() < 1e-6


def test_rest_body_is_linear_in_the_coefficients(assets: EhmAssets, blended: EHMs) -> None:
    """The stated basis is what the forward pass uses; other code may build tables from it."""
    basis = blended_basis(assets, DEFAULT_SIZE)
    arguments = _arguments(1)
    names = ("betas", "flame_shape", "flame_expression", "eyelids")
    coefficients = torch.cat([arguments[k] for k in names], dim=-1)[0].double().numpy()
    out = posed(blended, **{k: arguments[k][0] for k in names})
    assert np.abs(out.vertices.numpy() - (basis.template + basis.dirs @ coefficients)).max() < 1e-5
    assert np.abs(out.joints.numpy() - (basis.joint_template + basis.joint_dirs @ coefficients)).max() < 1e-5


def test_closed_eyelids_turn_with_the_head(blended: EHMs) -> None:
    """Lids are part of the rest mesh: skinning carries them, they do not float in world axes."""
    nod = {"body_pose": torch.eye(3).repeat(21, 1, 1)}
    turn = rotvec_to_rotmat(torch.tensor([0.0, 0.9, 0.0]))
    nod["body_pose"][skeleton.HEAD - 1] = turn
    closed = torch.ones(2)
    at_rest = posed(blended, eyelids=closed).vertices - posed(blended).vertices
    turned = posed(blended, eyelids=closed, **nod).vertices - posed(blended, **nod).vertices
    assert at_rest.norm(dim=-1).max() > 0.005
    assert (turned - at_rest @ turn.T).abs().max() < 1e-5


# --- paper ------------------------------------------------------------------------------------------------------------
def test_paper_puts_the_scaled_head_where_algorithm_1_says(assets: EhmAssets, paper: EHMs) -> None:
    """V_h s - c_h + c_b, with the eye joints of the head and of the body; the eyes move by (s - 1) c_h."""
    scale = torch.tensor([1.2, 0.9, 1.1])
    arguments = {k: v[0] for k, v in _arguments(1).items() if k in ("betas", "flame_shape")}
    plain, grown = posed(paper, **arguments), posed(paper, **arguments, head_scale=scale)
    head_template, regressor = assets.flame.v_template, assets.flame.joint_regressor
    rest = head_template + assets.flame.shapedirs[..., :10] @ arguments["flame_shape"].numpy()
    eyes_head = torch.from_numpy((regressor @ rest)[skeleton.FLAME_EYES].mean(0))
    body = SkinnedBody(assets.smplx, num_betas=10)(betas=arguments["betas"])
    eyes_body = body.joints[skeleton.SMPLX_EYES].mean(0)
    ids = assets.head_vertex_ids
    assert (grown.vertices[ids] - (torch.from_numpy(rest) * scale - eyes_head + eyes_body)).abs().max() < 1e-5
    assert (plain.joints[skeleton.SMPLX_EYES].mean(0) - eyes_body).abs().max() < 1e-4
    drift = grown.joints[skeleton.SMPLX_EYES].mean(0) - eyes_body
    assert (drift - (scale - 1) * eyes_head).abs().max() < 1e-4


def test_paper_leaves_excluded_vertices_to_the_body(assets: EhmAssets) -> None:
    kept = assets.head_vertex_ids[::7]
    model = EHMs(dataclasses.replace(assets, fusion="paper", keep_body_ids=kept))
    out = posed(model, flame_shape=torch.ones(10))
    plain = SkinnedBody(assets.smplx)()
    assert (out.vertices[kept] - plain.vertices[kept]).abs().max() < 1e-6


def _worst_stretch(assets: EhmAssets, model: EHMs, scale: float) -> float:
    """Largest change of an edge length, beyond what the scale itself explains, among edges around the neck."""
    faces = assets.smplx.faces
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    neck = assets.smplx.skin_weights[:, skeleton.NECK] > 0.05
    edges = torch.from_numpy(edges[neck[edges].any(1)])

    def lengths(s: float) -> Tensor:
        vertices = posed(model, head_scale=torch.full((3,), s)).vertices
        return (vertices[edges[:, 0]] - vertices[edges[:, 1]]).norm(dim=-1)

    ratio = lengths(scale) / lengths(1.0)
    low, high = min(1.0, scale), max(1.0, scale)
    return max((ratio / high).max().item(), (low / ratio).max().item())


@pytest.mark.parametrize("scale", [0.8, 1.3])
def test_blended_does_not_tear_the_neck_and_paper_does(
    assets: EhmAssets, blended: EHMs, paper: EHMs, scale: float
) -> None:
    assert _worst_stretch(assets, blended, scale) < 1.35
    assert _worst_stretch(assets, paper, scale) > 2.0


# --- keypoints --------------------------------------------------------------------------------------------------------
def test_mirroring_the_pose_mirrors_the_keypoints(blended: EHMs) -> None:
    """The open body is symmetric to about a millimetre, apart from the contour points next to the ears."""
    arguments = {k: v for k, v in _arguments(3).items() if k in ("body_pose", "left_hand_pose", "right_hand_pose")}
    arguments["jaw_pose"] = rotvec_to_rotmat(torch.tensor([[0.2, 0.05, 0.0]]).expand(3, 3))
    arguments["global_orient"] = rotvec_to_rotmat(torch.tensor([[math.pi, 0.1, 0.2]]).expand(3, 3))
    body = mirror_rotmat(arguments["body_pose"])[:, [skeleton.SMPLX_FLIP[j] - 1 for j in range(1, 22)]]
    mirrored = {
        "body_pose": body,
        "left_hand_pose": mirror_rotmat(arguments["right_hand_pose"]),
        "right_hand_pose": mirror_rotmat(arguments["left_hand_pose"]),
        "jaw_pose": mirror_rotmat(arguments["jaw_pose"]),
        "global_orient": mirror_rotmat(arguments["global_orient"]),
    }
    expected = posed(blended, **arguments).keypoints[:, list(skeleton.KEYPOINT_FLIP)] * MIRROR
    error = (posed(blended, **mirrored).keypoints - expected).norm(dim=-1)
    contour = torch.zeros(133, dtype=torch.bool)
    contour[skeleton.CONTOUR] = True
    assert error[:, ~contour].max() < 0.005
    assert error[:, ~contour].mean() < 0.001
    assert error[:, contour].mean() < 0.005


def test_keypoints_are_where_their_names_say(blended: EHMs) -> None:
    """In the rest frame: y up, z forward, +x to the person's left."""
    at = dict(zip(skeleton.KEYPOINT_NAMES, posed(blended).keypoints, strict=True))
    assert at["left_shoulder"][0] > 0.1 > -0.1 > at["right_shoulder"][0]
    assert at["left_hand_middle4"][0] > at["left_hand_middle1"][0] > at["left_hand_root"][0] > at["left_elbow"][0]
    assert at["left_ear"][0] > at["left_eye"][0] > at["nose"][0] > at["right_eye"][0] > at["right_ear"][0]
    assert at["nose"][2] > at["left_eye"][2] > at["left_ear"][2]
    assert at["left_big_toe"][2] > at["left_heel"][2]
    assert at["left_small_toe"][0] > at["left_big_toe"][0]
    assert at["face_0"][0] < at["face_8"][0] < at["face_16"][0]
    assert at["face_8"][1] < at["face_30"][1]
    assert at["face_36"][0] < at["face_39"][0] < at["face_42"][0] < at["face_45"][0]
    assert torch.allclose(at["left_hand_root"], at["left_wrist"])


def test_contour_row_has_one_rule_in_both_frames() -> None:
    yaw = torch.deg2rad(torch.linspace(-60, 60, 121))
    orient = rotvec_to_rotmat(torch.stack([torch.zeros(121), yaw, torch.zeros(121)], dim=-1))
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    body, camera = contour_row(orient, "body"), contour_row(half_turn @ orient, "camera")
    assert torch.equal(body, camera)
    assert body[60] == 0
    assert body[50] == 10
    assert body[70] == 49
    assert body[0] == 39
    assert body[-1] == 78


def test_a_person_who_looks_to_the_side_shows_the_far_contour(blended: EHMs) -> None:
    """Facing a camera (y down) and turned, contour points stay visible: none lies far behind the silhouette."""
    for yaw_deg in (-30.0, 30.0):
        turn = rotvec_to_rotmat(torch.tensor([0.0, math.radians(yaw_deg), 0.0]))
        facing = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ turn
        out = posed(blended, global_orient=facing, transl_m=torch.tensor([0.0, 0.0, 3.0]))
        contour, vertices = out.keypoints[skeleton.CONTOUR], out.vertices[blended.assets.regions["face"]]
        assert contour[:, 0].min() < vertices[:, 0].min() + 0.02
        assert contour[:, 0].max() > vertices[:, 0].max() - 0.02


# --- skinning ---------------------------------------------------------------------------------------------------------
def test_skinning_equals_the_plain_definition() -> None:
    """An obvious loop over joints and vertices, in double precision."""
    rng = torch.Generator().manual_seed(3)
    parents = (-1, 0, 1, 0, 3, 3)
    tree = lbs.KinematicTree.from_parents(parents)
    rotations = rotvec_to_rotmat(torch.randn(2, 6, 3, generator=rng).double())
    joints = torch.randn(2, 6, 3, generator=rng).double()
    vertices = torch.randn(2, 9, 3, generator=rng).double()
    weights = torch.rand(6, 9, generator=rng).double()
    weights /= weights.sum(0)
    world, posed = lbs.forward_kinematics(rotations, joints, tree)
    found = lbs.skin(vertices, lbs.skinning_transforms(world, posed, joints), weights)
    for n in range(2):
        transforms: list[Tensor] = []
        for j, parent in enumerate(parents):
            local = torch.eye(4, dtype=torch.float64)
            local[:3, :3] = rotations[n, j]
            local[:3, 3] = joints[n, j] - (joints[n, parent] if parent >= 0 else 0)
            transforms.append(transforms[parent] @ local if parent >= 0 else local)
        for v in range(9):
            expected = torch.zeros(3, dtype=torch.float64)
            for j, transform in enumerate(transforms):
                expected += weights[j, v] * (transform[:3, :3] @ (vertices[n, v] - joints[n, j]) + transform[:3, 3])
            assert (found[n, v] - expected).abs().max() < 1e-12


def test_a_large_batch_is_skinned_as_a_small_one(blended: EHMs) -> None:
    """Batches beyond the cache are worked through in slices."""
    arguments = _arguments(7)
    whole = posed(blended, **arguments)
    parts = [posed(blended, **{k: v[i : i + 2] for k, v in arguments.items()}).vertices for i in range(0, 7, 2)]
    assert (whole.vertices - torch.cat(parts)).abs().max() < 2e-6
