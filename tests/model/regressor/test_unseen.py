"""What a crop does not show is at the mean, and nothing that it shows turns it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from regressor_batches import loss_of, overwritten, random_batch, random_camera, random_parameters
from torch import Tensor

from model.batches import map_tensors
from model.body import skeleton
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import LossConfig
from model.regressor.unseen import guessed, hold_unseen, unseen_term

FLAGS = ("body_valid", "left_hand_valid", "right_hand_valid", "face_valid")
HEAD_POINTS = (*range(5), *range(skeleton.FACE.start, skeleton.FACE.stop))
HAND_POINTS = (9, *range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop))
OF_FACE = {"jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression"}


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody(load_open_body())


def close_up(num: int, points: tuple[int, ...], part: str) -> TrainingBatch:
    """A batch of whose people only some points are observed and one part is valid."""
    batch = random_batch(num)
    keypoints = batch.keypoints_2d.clone()
    keypoints[..., :2] *= 0.7  # inside what the network reads
    keypoints[:, [k for k in range(133) if k not in points], 2] = 0.0
    flags = {flag: torch.full((num,), flag == f"{part}_valid") for flag in FLAGS}
    return dataclasses.replace(batch, keypoints_2d=keypoints, **flags)


def a_head(num: int = 2) -> TrainingBatch:
    return close_up(num, HEAD_POINTS, "face")


def a_hand(num: int = 2) -> TrainingBatch:
    return close_up(num, HAND_POINTS, "left_hand")


def names_of(batch: TrainingBatch) -> set[str]:
    """Parameters of which something is a guess."""
    return {name for name, guess in guessed(batch).items() if guess.any()}


# --- what a guess is --------------------------------------------------------------------------------------------------
def test_of_a_person_seen_whole_nothing_is_a_guess() -> None:
    assert names_of(close_up(2, tuple(range(133)), "body")) == set()


def test_of_a_head_the_whole_body_is_a_guess_and_of_a_hand_the_rest() -> None:
    body = {"body_pose", "betas", "head_scale", "right_hand_pose"}
    assert names_of(a_head()) == body | {"left_hand_pose"}
    assert names_of(a_hand()) == body | OF_FACE
    for batch in (a_head(), a_hand()):
        assert guessed(batch)["body_pose"].all()


@pytest.mark.parametrize(
    ("flag", "known"),
    [("body_valid", {"body_pose", "betas"}), ("right_hand_valid", {"right_hand_pose"}), ("face_valid", OF_FACE)],
)
def test_what_a_label_teaches_is_no_guess_though_the_crop_does_not_show_it(flag: str, known: set[str]) -> None:
    batch = dataclasses.replace(close_up(2, (), "none"), **{flag: torch.ones(2, dtype=torch.bool)})
    assert names_of(batch) == names_of(close_up(2, (), "none")) - known


def test_a_joint_that_the_label_did_not_see_is_a_guess_where_the_crop_does_not_show_it() -> None:
    """From the hips up: the legs of a valid body."""
    seen = torch.ones(2, 22, dtype=torch.bool)
    legs = [1, 2, 4, 5, 7, 8, 10, 11]
    seen[:, legs] = False
    batch = close_up(2, (*range(13), *range(23, 133)), "body")
    guess = guessed(dataclasses.replace(batch, joint_seen=seen))["body_pose"][0]
    assert (guess.nonzero()[:, 0] + 1).tolist() == legs


def test_a_limb_that_may_not_supervise_is_a_guess_where_the_crop_does_not_show_it() -> None:
    limbs = torch.ones(2, 6, dtype=torch.bool)
    limbs[:, 2] = False
    batch = dataclasses.replace(close_up(2, (), "body"), body_group_valid=limbs)
    guess = guessed(batch)["body_pose"][0]
    assert (guess.nonzero()[:, 0] + 1).tolist() == [16, 18, 20]  # the left shoulder, elbow and wrist
    whole = close_up(2, tuple(range(133)), "body")
    assert names_of(dataclasses.replace(whole, body_group_valid=limbs)) == set()


def test_eyes_that_may_not_supervise_are_a_guess_where_the_crop_does_not_show_the_face() -> None:
    no = torch.zeros(2, dtype=torch.bool)
    aside, shown = close_up(2, (), "face"), a_head()
    assert names_of(dataclasses.replace(aside, eyes_valid=no)) - names_of(aside) == {"eye_pose"}
    assert names_of(dataclasses.replace(aside, eyelids_valid=no)) - names_of(aside) == {"eyelids"}
    assert names_of(dataclasses.replace(shown, eyes_valid=no, eyelids_valid=no)) == names_of(shown)


def test_a_part_that_is_shown_and_may_not_supervise_is_no_guess() -> None:
    batch = close_up(2, tuple(range(133)), "none")
    assert not batch.body_valid.any()
    assert names_of(batch) == set()


def test_points_beside_what_the_network_reads_show_nothing() -> None:
    batch = close_up(2, tuple(range(133)), "none")
    aside = batch.keypoints_2d.clone()
    aside[..., 0] = 0.4
    assert names_of(dataclasses.replace(batch, keypoints_2d=aside)) == names_of(close_up(2, (), "none"))


# --- the term ---------------------------------------------------------------------------------------------------------
def mean_person() -> EhmParameters:
    """One person without a leading dimension, as ``people_of`` gives the mean."""
    return map_tensors(random_parameters(1, 6), lambda t: t[0])


def test_the_term_is_the_squared_distance_of_guesses_from_the_mean() -> None:
    said, mean, batch = random_parameters(2, 1), mean_person(), a_hand()
    expected = 0.0
    for k in range(2):
        for name in ("body_pose", "betas", "right_hand_pose", "head_scale", *OF_FACE):
            away = getattr(said, name)[k] - getattr(mean, name)
            expected += float((away**2).sum()) / 2
    assert float(unseen_term(said, mean, guessed(batch))) == pytest.approx(expected, rel=1e-5)


def test_the_term_is_zero_at_the_mean_however_what_is_seen_is() -> None:
    mean = mean_person()
    said = map_tensors(mean, lambda t: t.expand(2, *t.shape))
    other = random_parameters(2, 1)
    said = dataclasses.replace(
        said, global_orient=other.global_orient, head_orient=other.head_orient, left_hand_pose=other.left_hand_pose
    )
    assert float(unseen_term(said, mean, guessed(a_hand()))) == 0


def test_labels_of_what_is_not_seen_may_be_anything() -> None:
    batch = a_head()
    spoiled = overwritten(overwritten(batch, "left_hand", float("nan")), "body", float("nan"))
    points = spoiled.keypoints_2d.clone()
    points[points[..., 2] == 0] = float("nan")
    spoiled = dataclasses.replace(spoiled, keypoints_2d=points)
    for name, guess in guessed(batch).items():
        assert torch.equal(guess, guessed(spoiled)[name]), name


# --- what turns what --------------------------------------------------------------------------------------------------
def gradients(batch: TrainingBatch, body: KeypointBody, *, hold: bool, config: LossConfig) -> dict[str, Tensor]:
    """Of the points' terms, by name of a parameter."""
    leaves = {name: value.clone().requires_grad_() for name, value in random_parameters(2, 1).named().items()}
    said = EhmParameters(**leaves)
    if hold:
        said = hold_unseen(said, guessed(batch))
    loss = loss_of(said, random_camera(2), batch, body, config).total
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
    return dict(zip(leaves, found, strict=True))


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("crop", [a_head, a_hand])
def test_points_of_what_is_shown_turn_the_pelvis_and_no_joint_that_is_not(
    body: KeypointBody, crop: Callable[[], TrainingBatch], local: bool
) -> None:
    config = dataclasses.replace(LossConfig(), local_frames=local)
    batch = crop()
    free, held = (gradients(batch, body, hold=hold, config=config) for hold in (False, True))
    assert free["body_pose"].abs().max() > 1e-3, "without it, what is not shown is turned"
    for name, guess in guessed(batch).items():
        assert guess.all() == (held[name].abs().max() == 0), name
    assert held["global_orient"].abs().max() > 1e-3
    shown = "left_hand_pose" if crop is a_hand else "flame_shape"
    torch.testing.assert_close(held[shown], free[shown])
    assert held[shown].abs().max() > 0


def test_people_whose_parts_are_shown_are_charged_as_without_it(body: KeypointBody) -> None:
    batch = close_up(2, tuple(range(133)), "body")
    free, held = (gradients(batch, body, hold=hold, config=LossConfig()) for hold in (False, True))
    for name, gradient in free.items():
        assert torch.equal(gradient, held[name]), name
