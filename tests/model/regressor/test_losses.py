"""Laws of the loss: zero at the target, deaf to what is not valid, the same for a batch and for its parts."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from regressor_batches import (
    EVERYTHING,
    FOCAL_SIDES,
    gradient_of,
    loss_of,
    overwritten,
    prediction_of,
    random_batch,
    random_camera,
    random_parameters,
    rows,
    seen_by,
    without,
)
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from model.batches import map_tensors
from model.body import skeleton
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import WEIGHT_NAMES, LossConfig
from model.regressor.losses import regressor_loss
from model.regressor.targets import posed_target

FLAGS = ("body_valid", "left_hand_valid", "right_hand_valid", "face_valid")
CHARGED = [field.name for field in EHM_FIELDS if field.name != "transl_m"]
"""Where a person is, the camera of the crop says."""


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_open_body())


# --- what it measures -------------------------------------------------------------------------------------------------
def test_it_is_zero_at_the_target(body: KeypointBody) -> None:
    camera = random_camera(3)
    batch = seen_by(random_batch(3), camera, body)
    found = loss_of(batch.target, camera, batch, body)
    assert found.total == 0, found.terms
    assert set(found.terms) == {
        *("global_orient", "body_pose", "betas", "left_hand_pose", "right_hand_pose", "head_orient", "jaw_pose"),
        *("eye_pose", "eyelids", "flame_shape", "flame_expression", "head_scale", "body_3d", "left_hand_3d"),
        *("right_hand_3d", "face_3d", "face_form", "body_2d", "left_hand_2d", "right_hand_2d", "face_2d"),
    }


@pytest.mark.parametrize("name", CHARGED)
def test_every_parameter_is_charged_for(body: KeypointBody, name: str) -> None:
    camera = random_camera(2)
    batch = seen_by(random_batch(2), camera, body)
    changes = {name: getattr(random_parameters(2, seed=5), name)}
    found = loss_of(dataclasses.replace(batch.target, **changes), camera, batch, body)
    assert found.terms[name] > 1e-3
    assert all(found.terms[other] == 0 for other in CHARGED if other != name)


def test_the_total_is_the_weighted_sum_of_the_terms(body: KeypointBody) -> None:
    found = loss_of(random_parameters(3, 1), random_camera(3), random_batch(3), body)
    expected = sum(EVERYTHING.weight_of(name) * float(term) for name, term in found.terms.items())
    assert float(found.total) == pytest.approx(expected, rel=1e-5)


def test_a_term_of_weight_zero_is_measured_and_not_charged(body: KeypointBody) -> None:
    config = dataclasses.replace(EVERYTHING, body_3d=0.0)
    given = random_parameters(2, 1), random_camera(2), random_batch(2), body
    with_it, without_it = loss_of(*given), loss_of(*given, config)
    assert without_it.terms["body_3d"] == with_it.terms["body_3d"] > 0
    expected = float(with_it.total - EVERYTHING.body_3d * with_it.terms["body_3d"])
    assert float(without_it.total) == pytest.approx(expected, rel=1e-5)


def oracle(parameters: EhmParameters, camera: Tensor, joints: Tensor, keypoints: Tensor, batch: TrainingBatch,
           target_joints: Tensor, target_keypoints: Tensor) -> float:  # fmt: skip
    """HMR2's loss with HaMeR's hands and a FLAME L1, one person and one number at a time, in numpy."""
    said = {name: value.numpy() for name, value in parameters.named().items()}
    label = {name: value.numpy() for name, value in batch.target.named().items()}
    total = 0.0
    for b in range(len(batch)):
        is_body, is_face = bool(batch.body_valid[b]), bool(batch.face_valid[b])
        head, torso, left_arm, right_arm, left_leg, right_leg = limbs = batch.body_group_valid[b].tolist()
        limb_of = [torso, left_leg, right_leg, torso, left_leg, right_leg, torso, left_leg, right_leg, torso]
        limb_of += [left_leg, right_leg, head, torso, torso, head, *(left_arm, right_arm) * 3]
        seen = [flag and limb for flag, limb in zip(batch.joint_seen[b].tolist(), limb_of, strict=True)]
        weight = dict(zip(("body", "left_hand", "right_hand", "face"), batch.weight[b].tolist(), strict=True))
        if is_body:
            w = weight["body"]
            if seen[0]:
                total += w * 0.001 * np.sum((said["global_orient"][b] - label["global_orient"][b]) ** 2)
            for k in range(21):
                if seen[k + 1]:
                    total += w * 0.001 * np.sum((said["body_pose"][b, k] - label["body_pose"][b, k]) ** 2)
            total += w * 0.0005 * np.sum((said["betas"][b] - label["betas"][b]) ** 2)
        for side, wrist, start, arm in (("left", 20, 91, left_arm), ("right", 21, 112, right_arm)):
            if not getattr(batch, f"{side}_hand_valid")[b]:
                continue
            w = weight[f"{side}_hand"]
            total += w * 0.001 * np.sum((said[f"{side}_hand_pose"][b] - label[f"{side}_hand_pose"][b]) ** 2)
            for k in range(start + 1, start + 21) if is_body and torso and arm else ():
                ours = keypoints[b, k] - joints[b, wrist]
                total += w * 0.05 * np.abs(ours - (target_keypoints[b, k] - target_joints[b, wrist])).sum()
        if is_face:
            w = weight["face"]
            counted = {"eye_pose": batch.eyes_valid[b], "eyelids": batch.eyelids_valid[b]}
            for name in ("head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression"):
                if counted.get(name, True):
                    total += w * 0.001 * np.abs(said[name][b] - label[name][b]).sum()
            for k in (*range(5), *range(40, 91)):
                ours = keypoints[b, k] - joints[b, 15]
                total += w * 0.05 * np.abs(ours - (target_keypoints[b, k] - target_joints[b, 15])).sum()
            if is_body:
                total += w * 0.001 * np.abs(said["head_scale"][b] - label["head_scale"][b]).sum()
        if is_body and torso:
            w = weight["body"]
            for k in range(1, 22):
                chain, parent = [], skeleton.SMPLX_PARENTS[k]
                while parent > 0:
                    chain.append(parent)
                    parent = skeleton.SMPLX_PARENTS[parent]
                if all(seen[a] for a in chain if a not in (3, 6, 9)):
                    ours = joints[b, k] - joints[b, 0]
                    total += w * 0.05 * np.abs(ours - (target_joints[b, k] - target_joints[b, 0])).sum()
            chains = (1, 4, 7, 10), (1, 4, 7, 10), (1, 4, 7), (2, 5, 8, 11), (2, 5, 8, 11), (2, 5, 8)
            for k, chain in zip(range(17, 23), chains, strict=True):
                if all(seen[a] for a in chain):
                    ours = keypoints[b, k] - joints[b, 0]
                    total += w * 0.05 * np.abs(ours - (target_keypoints[b, k] - target_joints[b, 0])).sum()
        s, tx, ty = camera[b].tolist()
        body_limbs = [0] * 5 + [1, 1, 2, 3, 2, 3, 1, 1, 4, 5, 4, 5] + [4] * 3 + [5] * 3
        for k in range(133):
            flag = "body" if k < 23 else "face" if k < 91 else "left_hand" if k < 112 else "right_hand"
            if getattr(batch, f"{flag}_valid")[b] and (k >= 23 or limbs[body_limbs[k]]):
                x, y, z = (keypoints[b, k] - joints[b, 0]).tolist()
                depth = z + 2 * FOCAL_SIDES / s
                u, v, score = batch.keypoints_2d[b, k].tolist()
                apart = abs(FOCAL_SIDES * (x + tx) / depth - u) + abs(FOCAL_SIDES * (y + ty) / depth - v)
                total += weight[flag] * 0.01 * score * apart
    return float(total) / len(batch)


def test_hmr2_weights_give_the_loss_of_a_slow_obvious_version(body: KeypointBody) -> None:
    num = 6
    batch = random_batch(num, dtype=torch.float64)
    generator = torch.Generator().manual_seed(7)
    flags = {flag: torch.rand(num, generator=generator) < 0.6 for flag in FLAGS}
    seen = torch.rand(num, 22, generator=generator) < 0.8
    weight = torch.rand(num, 4, generator=generator, dtype=torch.float64)
    limbs = torch.rand(num, 6, generator=generator) < 0.8
    batch = dataclasses.replace(batch, **flags, joint_seen=seen, body_group_valid=limbs, weight=weight)
    assert all(0 < int(flag.sum()) < num for flag in flags.values())
    parameters, camera = random_parameters(num, 1, dtype=torch.float64), random_camera(num, dtype=torch.float64)
    precise = KeypointBody(load_open_body()).double()
    posed, target = precise(parameters), posed_target(batch, precise)
    found = regressor_loss(
        prediction_of(parameters, camera), posed.joints, posed.keypoints, batch, *target, LossConfig(), FOCAL_SIDES
    )
    expected = oracle(parameters, camera, posed.joints, posed.keypoints, batch, *target)
    assert float(found.total) == pytest.approx(expected, rel=1e-10)


def test_gradient_of_the_loss() -> None:
    """With respect to everything the network and the body say."""
    batch = random_batch(2, dtype=torch.float64)
    batch = dataclasses.replace(batch, face_valid=torch.tensor([True, False]))
    said = random_parameters(2, 3, dtype=torch.float64)
    points = [torch.randn(2, n, 3, dtype=torch.float64, requires_grad=True) for n in (55, 133)]
    target_joints, target_keypoints = (torch.randn(2, n, 3, dtype=torch.float64) for n in (55, 133))
    leaves = [value.requires_grad_() for value in said.named().values()]
    camera = random_camera(2, dtype=torch.float64).requires_grad_()

    def total(view: Tensor, joints: Tensor, keypoints: Tensor, *values: Tensor) -> Tensor:
        parameters = EhmParameters(**dict(zip(said.named(), values, strict=True)))
        said_now = prediction_of(parameters, view), joints, keypoints
        return regressor_loss(*said_now, batch, target_joints, target_keypoints, EVERYTHING, FOCAL_SIDES).total

    assert torch.autograd.gradcheck(total, (camera, *points, *leaves), fast_mode=True, eps=1e-7, atol=1e-5)


@pytest.mark.long
def test_descending_it_leads_to_the_target(body: KeypointBody) -> None:
    camera = random_camera(2)
    batch = seen_by(random_batch(2), camera, body)
    start = random_parameters(2, 9)
    leaves = {name: value.clone().requires_grad_() for name, value in start.named().items()}
    view = (camera + 0.1).requires_grad_()
    optimiser = torch.optim.Adam([*leaves.values(), view], lr=0.05)
    totals = []
    for _ in range(12):
        loss = loss_of(EhmParameters(**leaves), view, batch, body, LossConfig()).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        totals.append(float(loss.detach()))
    assert totals[-1] < 0.4 * totals[0]


# --- local frames -----------------------------------------------------------------------------------------------------
LOCAL = dataclasses.replace(EVERYTHING, local_frames=True)
TERMS_3D = {"body_3d", "left_hand_3d", "right_hand_3d", "face_3d"}


@pytest.mark.parametrize(
    ("joint", "moved"),
    [("pelvis", set()), ("left_wrist", set()), ("head", set()), ("left_elbow", {"body_3d"}), ("neck", {"body_3d"})],
)
def test_in_local_frames_the_turn_of_what_carries_a_part_does_not_count(
    body: KeypointBody, joint: str, moved: set[str]
) -> None:
    """The turn of the pelvis is no error of any part, that of an elbow is the body's and not the hand's."""
    camera = random_camera(2)
    batch = seen_by(random_batch(2), camera, body)
    pose, orient = batch.target.body_pose.clone(), batch.target.global_orient
    turned = random_parameters(2, 8)
    index = skeleton.SMPLX_JOINT_NAMES.index(joint)
    if index:
        pose[:, index - 1] = turned.body_pose[:, index - 1]
    else:
        orient = turned.global_orient
    said = dataclasses.replace(batch.target, body_pose=pose, global_orient=orient)
    local, plain = (loss_of(said, camera, batch, body, config).terms for config in (LOCAL, EVERYTHING))
    assert {name for name in TERMS_3D if local[name] > 1e-3} == moved
    assert {name for name in TERMS_3D if plain[name] > 1e-3} > moved
    assert all(local[name] == plain[name] for name in plain if name not in TERMS_3D)


def test_in_local_frames_fingers_and_faces_count(body: KeypointBody) -> None:
    camera = random_camera(2)
    batch = seen_by(random_batch(2), camera, body)
    other = random_parameters(2, 8)
    for name, term in (
        ("left_hand_pose", "left_hand_3d"),
        ("right_hand_pose", "right_hand_3d"),
        ("jaw_pose", "face_3d"),
    ):
        changes = {name: getattr(other, name)}
        terms = loss_of(dataclasses.replace(batch.target, **changes), camera, batch, body, LOCAL).terms
        assert {name for name in TERMS_3D if terms[name] > 1e-3} == {term}


def test_in_local_frames_an_absent_body_does_not_spoil_the_hands(body: KeypointBody) -> None:
    batch = overwritten(without(random_batch(2), "body_valid"), "body", float("nan"))
    found = loss_of(random_parameters(2, 1), random_camera(2), batch, body, LOCAL)
    assert found.total.isfinite()
    assert found.terms["left_hand_3d"] > 0


def test_hands_without_a_body_have_no_direction_in_the_camera(body: KeypointBody) -> None:
    """An absent body is all zeros in a label, upside down in the camera: a hand must not be turned after it."""
    batch = without(random_batch(2), "body_valid")
    empty = dataclasses.replace(
        batch.target, global_orient=torch.eye(3).expand(2, 3, 3), body_pose=torch.eye(3).expand(2, 21, 3, 3)
    )
    said, batch = batch.target, dataclasses.replace(batch, target=empty)  # right but for what nobody knows
    for config in (EVERYTHING, LOCAL):
        terms = loss_of(said, random_camera(2), batch, body, config).terms
        assert terms["left_hand_3d"] < 1e-3
        assert terms["right_hand_3d"] < 1e-3
    wrong = dataclasses.replace(said, left_hand_pose=random_parameters(2, 8).left_hand_pose)
    assert loss_of(wrong, random_camera(2), batch, body, LOCAL).terms["left_hand_3d"] > 1e-2


# --- the form of a face -----------------------------------------------------------------------------------------------
def test_the_form_of_a_face_has_no_place_turn_or_size(body: KeypointBody) -> None:
    """What moves, turns or enlarges the head is no error of it; what the face does is."""
    camera = random_camera(2)
    batch = seen_by(random_batch(2), camera, body)
    target, other = batch.target, random_parameters(2, 8)

    def form(**changes: Tensor) -> float:
        said = dataclasses.replace(target, **changes)
        return float(loss_of(said, camera, batch, body).terms["face_form"])

    assert form(head_scale=1.3 * target.head_scale) < 1e-3
    assert form(global_orient=other.global_orient, body_pose=other.body_pose) < 1e-3
    for name in ("jaw_pose", "flame_shape", "flame_expression"):
        assert form(**{name: getattr(other, name)}) > 0.3


def test_the_form_of_a_face_is_measured_as_a_slow_version_does(body: KeypointBody) -> None:
    batch, said = random_batch(2), random_parameters(2, 1)
    posed, target = body(said), posed_target(batch, body)
    expected = 0.0
    for k in range(2):
        shapes = []
        for person, points in ((said, posed.keypoints), (batch.target, target[1])):
            turn = person.global_orient[k].numpy()
            for joint in (3, 6, 9, 12, 15):
                turn = turn @ person.body_pose[k, joint - 1].numpy()
            face = points[k, [*range(5), *range(40, 91)]].numpy() @ turn
            face = face - face.mean(0)
            shapes.append(face / np.sqrt((face**2).sum(1).mean()))
        expected += float(batch.weight[k, 3]) * np.abs(shapes[0] - shapes[1]).sum() / 2
    found = loss_of(said, random_camera(2), batch, body).terms["face_form"]
    assert float(found) == pytest.approx(expected, rel=1e-4)


# --- scores, weights, shares ------------------------------------------------------------------------------------------
def test_the_score_weighs_a_2d_point(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    half = dataclasses.replace(batch, keypoints_2d=batch.keypoints_2d * torch.tensor([1.0, 1.0, 0.5]))
    before, after = (loss_of(said, camera, b, body).terms for b in (batch, half))
    for name, term in before.items():
        torch.testing.assert_close(after[name], term * (0.5 if name.endswith("_2d") else 1.0))


def test_points_below_the_least_score_do_not_count(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    keypoints = batch.keypoints_2d.clone()
    keypoints[:, ::2, 2] = 0.6
    config, low = dataclasses.replace(EVERYTHING, min_score=0.7), dataclasses.replace(batch, keypoints_2d=keypoints)
    gone = keypoints.clone()
    gone[:, ::2] = 0.0
    expected = loss_of(said, camera, dataclasses.replace(batch, keypoints_2d=gone), body).total
    assert loss_of(said, camera, low, body, config).total == expected


def test_a_persons_weight_is_on_everything(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    alone = loss_of(said, camera, dataclasses.replace(batch, weight=torch.tensor([[1.0], [0.0]]).expand(2, 4)), body)
    half = loss_of(said, camera, dataclasses.replace(batch, weight=torch.tensor([[0.5], [0.0]]).expand(2, 4)), body)
    first = loss_of(map_tensors(said, lambda t: t[:1]), camera[:1], rows(batch, slice(0, 1)), body)
    torch.testing.assert_close(alone.total, first.total / 2)
    torch.testing.assert_close(half.total, alone.total / 2)


def test_the_mean_over_equal_shares_is_the_whole_batch(body: KeypointBody) -> None:
    """Also when people of whom little is valid are spread unevenly."""
    body = copy.deepcopy(body).double()
    said, camera = random_parameters(6, 1, dtype=torch.float64), random_camera(6, dtype=torch.float64)
    batch = random_batch(6, dtype=torch.float64)
    batch = dataclasses.replace(batch, face_valid=torch.tensor([True, False, False, True, True, True]))
    whole = gradient_of(said, camera, batch, body)
    shares = [slice(0, 3), slice(3, 6)]
    parts = [gradient_of(map_tensors(said, lambda t, s=s: t[s]), camera[s], rows(batch, s), body) for s in shares]
    for k, gradient in enumerate(whole):
        together = torch.cat([part[k] for part in parts]) / 2
        torch.testing.assert_close(together, gradient, rtol=1e-9, atol=1e-12)


# --- settings ---------------------------------------------------------------------------------------------------------
def test_left_and_right_share_a_weight() -> None:
    assert LossConfig(hand_3d=0.2).weight_of("left_hand_3d") == 0.2


def test_which_weights_leave_no_read_out_without_a_gradient() -> None:
    assert LossConfig().reaches_every_readout
    assert not LossConfig(global_orient=0.0).reaches_every_readout  # nothing is said of the pelvis' rotation
    assert not LossConfig(body_2d=0.0, hand_2d=0.0, face_2d=0.0).reaches_every_readout  # nor here of the camera
    assert LossConfig(body_2d=0.0, hand_2d=0.0, body_3d=0.0).reaches_every_readout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"body_3d": -0.1}, r"body_3d: expected a weight of 0 or more, got -0.1"),
        ({"betas": math.nan}, r"betas: expected a weight of 0 or more, got nan"),
        ({"face_2d": math.inf}, r"face_2d: expected a weight of 0 or more, got inf"),
        ({"min_score": 1.0}, r"min_score: expected 0 or more and below 1, got 1.0"),
        (dict.fromkeys(WEIGHT_NAMES, 0.0), "all weights of the loss are 0"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossConfig(**settings)
