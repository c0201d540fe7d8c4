"""What may not supervise is not heard: neither in the loss nor in its gradient."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from regressor_batches import (
    EVERYTHING,
    PART_FIELDS,
    gradient_of,
    loss_of,
    overwritten,
    random_batch,
    random_camera,
    random_parameters,
    without,
)

from model.body import skeleton
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.regressor.losses import known_points

FLAGS = ("body_valid", "left_hand_valid", "right_hand_valid", "face_valid")


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_open_body())


@pytest.mark.parametrize("part", list(PART_FIELDS))
@pytest.mark.parametrize("value", [3.0, float("nan")])
def test_a_part_that_is_not_valid_changes_neither_loss_nor_gradient(
    body: KeypointBody, part: str, value: float
) -> None:
    """In 2D the part's points are spoiled as well. A body that is not valid still carries the head: it is finite."""
    said, camera = random_parameters(3, 1), random_camera(3)
    batch = without(random_batch(3), f"{part}_valid")
    spoiled = overwritten(batch, part, value)
    if part == "body":  # a body that is finite carries the others; compare with one that is as absent
        batch = overwritten(batch, part, float("nan"))
        spoiled = overwritten(batch, part, float("nan") if value == 3.0 else value)
    points = {"body": slice(0, 23), "face": skeleton.FACE, "left_hand": skeleton.LEFT_HAND}
    keypoints = batch.keypoints_2d.clone()
    keypoints[:, points.get(part, skeleton.RIGHT_HAND)] = value
    spoiled = dataclasses.replace(spoiled, keypoints_2d=keypoints)
    before, after = loss_of(said, camera, batch, body), loss_of(said, camera, spoiled, body)
    assert before.total.isfinite()
    assert before.total == after.total
    for one, other in zip(
        gradient_of(said, camera, batch, body), gradient_of(said, camera, spoiled, body), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("flag", FLAGS)
def test_an_invalid_part_is_not_charged_for(body: KeypointBody, flag: str) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    terms = loss_of(said, camera, without(batch, flag), body).terms
    part = flag.removesuffix("_valid")
    # In the camera's frame the points of a hand depend on how the body turns the wrist.
    also = {"body": {"head_scale", "left_hand_3d", "right_hand_3d"}, "face": {"head_scale", "face_form"}}.get(
        part, set()
    )
    silent = {*PART_FIELDS[part], f"{part}_3d", f"{part}_2d", *also}
    assert {name for name, term in terms.items() if term == 0} == silent


def test_a_joint_that_was_not_seen_is_not_compared(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    seen = batch.joint_seen.clone()
    seen[:, 4] = False
    batch = dataclasses.replace(batch, joint_seen=seen)
    pose = batch.target.body_pose.clone()
    pose[:, 3] = torch.eye(3)
    bent = dataclasses.replace(batch, target=dataclasses.replace(batch.target, body_pose=pose))
    before, after = loss_of(said, camera, batch, body), loss_of(said, camera, bent, body)
    assert before.terms["body_pose"] == after.terms["body_pose"]
    torch.testing.assert_close(before.total, after.total, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("flag", "term"), [("eyes_valid", {"eye_pose"}), ("eyelids_valid", {"eyelids"})])
def test_eyes_and_eyelids_count_where_they_are_valid(body: KeypointBody, flag: str, term: set[str]) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    terms = loss_of(said, camera, without(batch, flag), body).terms
    assert {name for name, value in terms.items() if value == 0} == term


@pytest.mark.parametrize("limb", list(skeleton.BODY_GROUPS))
def test_a_limb_that_is_not_valid_changes_neither_loss_nor_gradient(body: KeypointBody, limb: str) -> None:
    """Its joints are turned by half a turn and its points lie elsewhere. In 3D what hangs below a limb goes with it, so
    3D is left out here; see the next test."""
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    valid = torch.tensor([[name != limb for name in skeleton.BODY_GROUPS]] * 2)
    batch = dataclasses.replace(batch, body_group_valid=valid)
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose = torch.cat([batch.target.global_orient[:, None], batch.target.body_pose], 1)
    joints = list(skeleton.BODY_GROUP_JOINTS[limb])
    pose[:, joints] = pose[:, joints] @ turn
    points = [k for k in range(23) if list(skeleton.BODY_GROUPS)[skeleton.GROUP_OF_KEYPOINT[k]] == limb]
    keypoints = batch.keypoints_2d.clone()
    keypoints[:, points] = 3.0
    target = dataclasses.replace(batch.target, global_orient=pose[:, 0], body_pose=pose[:, 1:])
    spoiled = dataclasses.replace(batch, target=target, keypoints_2d=keypoints)
    before, after = (loss_of(said, camera, each, body).terms for each in (batch, spoiled))
    for name in ("global_orient", "body_pose", "body_2d", "left_hand_2d"):
        assert before[name] == after[name], name
    whole = loss_of(said, camera, random_batch(2), body).terms
    assert before["body_2d"] < whole["body_2d"]


def test_an_arm_that_is_not_valid_takes_its_hand_out_of_3d_and_a_trunk_everything(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)

    def silent(limb: str) -> set[str]:
        valid = torch.tensor([[name != limb for name in skeleton.BODY_GROUPS]] * 2)
        terms = loss_of(said, camera, dataclasses.replace(batch, body_group_valid=valid), body).terms
        return {name for name, value in terms.items() if value == 0}

    assert silent("left_arm") == {"left_hand_3d"}
    assert silent("torso") == {"global_orient", "body_3d", "left_hand_3d", "right_hand_3d"}
    assert silent("left_leg") == set()


def test_a_part_supervises_by_its_own_weight(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), random_batch(2)
    weight = torch.tensor([[1.0, 0.5, 1.0, 0.0]] * 2)
    full, own = (loss_of(said, camera, each, body).terms for each in (batch, dataclasses.replace(batch, weight=weight)))
    for name, value in own.items():
        part = {"left": 0.5, "face": 0.0, "jaw": 0.0, "eye": 0.0, "eyelids": 0.0, "flame": 0.0, "head": 0.0}
        torch.testing.assert_close(value, part.get(name.partition("_")[0], 1.0) * full[name], msg=name)


def test_a_limb_is_known_as_far_as_it_was_seen() -> None:
    """The left knee was not seen: ankle, foot and the points on them are not known, the rest is."""
    seen = torch.ones(1, 22, dtype=torch.bool)
    seen[0, 4] = False
    known = known_points(seen)[0]
    unknown = {skeleton.SMPLX_JOINT_NAMES[k + 1] for k in range(21) if not known[k]}
    assert unknown == {"left_ankle", "left_foot"}
    assert known[21:].tolist() == [False, False, False, True, True, True]


def test_the_trunk_counts_as_seen() -> None:
    seen = torch.zeros(1, 22, dtype=torch.bool)
    known = {skeleton.SMPLX_JOINT_NAMES[k + 1] for k in known_points(seen)[0, :21].nonzero()[:, 0].tolist()}
    assert known == {"left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar"}


@pytest.mark.parametrize("part", list(PART_FIELDS))
def test_a_valid_label_that_is_not_finite_is_not_hidden(body: KeypointBody, part: str) -> None:
    batch = overwritten(random_batch(2), part, float("nan"))
    assert loss_of(random_parameters(2, 1), random_camera(2), batch, body).total.isnan()


def test_2d_points_of_invalid_parts_count_when_asked_for(body: KeypointBody) -> None:
    said, camera, batch = random_parameters(2, 1), random_camera(2), without(random_batch(2), "left_hand_valid")
    config = dataclasses.replace(EVERYTHING, invalid_parts_in_2d=True)
    terms = loss_of(said, camera, batch, body, config).terms
    assert terms["left_hand_2d"] > 0
    assert terms["left_hand_3d"] == 0
