"""Posed labels: what is valid is where the body says, and what is not valid has no say."""

import dataclasses

import pytest
import torch
from regressor_batches import overwritten, random_batch

from model.batches import map_tensors
from model.body import skeleton
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.regressor.targets import neutral_where_invalid, posed_target


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_open_body())


def test_valid_labels_are_posed_as_they_are(body: KeypointBody) -> None:
    batch = random_batch(4)
    joints, keypoints = posed_target(batch, body)
    expected = body(batch.target)
    assert torch.equal(joints, expected.joints)
    assert torch.equal(keypoints, expected.keypoints)
    for found, given in zip(neutral_where_invalid(batch).named().values(), batch.target.named().values(), strict=True):
        assert torch.equal(found, given)


def test_targets_have_no_gradient(body: KeypointBody) -> None:
    batch = random_batch(2)
    batch = dataclasses.replace(batch, target=map_tensors(batch.target, lambda tensor: tensor.requires_grad_()))
    assert not any(tensor.requires_grad for tensor in posed_target(batch, body))


@pytest.mark.parametrize("part", ["left_hand", "right_hand", "face"])
@pytest.mark.parametrize("value", [float("nan"), 7.0])
def test_an_invalid_part_does_not_move_the_others(body: KeypointBody, part: str, value: float) -> None:
    batch = random_batch(3)
    changes = {f"{part}_valid": torch.tensor([True, False, False])}
    off = dataclasses.replace(batch, **changes)
    spoiled = overwritten(off, part, value)
    joints, keypoints = posed_target(off, body)
    joints_after, keypoints_after = posed_target(spoiled, body)
    assert torch.equal(joints[1:], joints_after[1:])
    assert torch.equal(keypoints[1:], keypoints_after[1:])
    assert not torch.equal(keypoints[0], keypoints_after[0])


def test_an_invalid_body_still_carries_a_valid_head_and_hands(body: KeypointBody) -> None:
    batch = random_batch(3)
    off = dataclasses.replace(batch, body_valid=torch.zeros(3, dtype=torch.bool))
    kept = neutral_where_invalid(off)
    assert torch.equal(kept.body_pose, batch.target.body_pose)
    assert torch.equal(kept.head_scale, torch.ones(3, 3))


def test_without_any_body_the_head_is_turned_as_its_label_says(body: KeypointBody) -> None:
    batch = random_batch(3)
    off = dataclasses.replace(batch, body_valid=torch.zeros(3, dtype=torch.bool))
    joints, keypoints = posed_target(overwritten(off, "body", float("nan")), body)
    assert joints.isfinite().all()
    face = keypoints[:, skeleton.INNER_FACE] - joints[:, skeleton.HEAD, None]
    target = batch.target
    upright = EhmParameters.neutral(3)
    alone = dataclasses.replace(
        target, betas=upright.betas, body_pose=upright.body_pose, head_scale=upright.head_scale,
        global_orient=upright.global_orient,
    )  # fmt: skip
    posed = body(alone)
    still = posed.keypoints[:, skeleton.INNER_FACE] - posed.joints[:, skeleton.HEAD, None]
    torch.testing.assert_close(face, still @ target.head_orient.transpose(1, 2), rtol=0, atol=1e-6)


def test_a_label_that_is_valid_and_not_finite_is_not_hidden(body: KeypointBody) -> None:
    batch = random_batch(2)
    batch.target.body_pose[1, 3] = torch.nan
    joints, _ = posed_target(batch, body)
    assert joints[0].isfinite().all()
    assert joints[1].isnan().any()
