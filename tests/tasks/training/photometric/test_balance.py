"""Weights of the pictures: what they may change, and as strongly as the labels."""

import pytest
import torch
from training_rig import random_parameters

from model.regressor.network import Prediction
from tasks.training.photometric.balance import Balance, groups_of

FREE = {"jaw_pose", "flame_expression", "eyelids", "head_scale", "body_pose", "global_orient"}


@pytest.fixture
def said():
    people = random_parameters(4, torch.Generator().manual_seed(0))
    for value in people.named().values():
        value.requires_grad_()
    return Prediction(parameters=people, camera=torch.rand(4, 3).requires_grad_())


def loss_of(prediction, weight=1.0):
    """Every output with a weight of its own."""
    parts = enumerate([*prediction.parameters.named().values(), prediction.camera])
    return weight * torch.stack([(0.1 + k) * part.square().sum() for k, part in parts]).sum()


def test_values_stay_and_derivatives_reach_only_what_a_head_shows(said):
    balance = Balance(groups_of(["head"]), 1.0, 1)
    balance.squares += 1.0
    weighted = balance.weighted(said)
    for name, value in said.parameters.named().items():
        assert torch.equal(weighted.parameters.named()[name], value), name
    loss_of(weighted).backward()
    assert {
        name for name, value in said.parameters.named().items() if value.grad is not None and value.grad.any()
    } == FREE
    assert said.parameters.body_pose.grad.flatten(2).any(2).any(0).nonzero().squeeze(1).tolist() == [2, 5, 8, 11, 14]
    assert not said.camera.grad[:, 0].any()
    assert said.camera.grad[:, 1:].all()


def test_of_a_hand_fingers_move_and_the_arm_that_carries_it(said):
    balance = Balance(groups_of(["left_hand"]), 1.0, 1)
    balance.squares += 1.0
    loss_of(balance.weighted(said)).backward()
    assert said.parameters.left_hand_pose.grad.any()
    assert said.parameters.right_hand_pose.grad is None
    assert said.parameters.jaw_pose.grad is None
    assert said.parameters.body_pose.grad.flatten(2).any(2).any(0).nonzero().squeeze(1).tolist() == [
        2,
        5,
        8,
        12,
        15,
        17,
        19,
    ]


def test_before_the_first_measurement_pictures_weigh_nothing_then_share_times_the_labels(said):
    balance = Balance(groups_of(["head"]), 0.5, 10)
    assert not balance.weights.any()
    balance.measure(loss_of(said), said, loss_of(balance.weighted(said), 7.0), balance.weighted(said))
    assert not balance.weights.any()  # of another graph: nothing was reached
    given = balance.weighted(said)
    for _ in range(9):
        balance.measure(loss_of(said), said, loss_of(given, 7.0), given)
    assert not balance.weights.any()  # not due
    balance.measure(loss_of(said), said, loss_of(given, 7.0), given)
    assert torch.allclose(balance.weights, torch.tensor(0.5 / 7))
    assert set(balance.figures()) == {f"weight_{name}" for name in groups_of(["head"])}


def test_what_cannot_be_measured_keeps_its_weight(said):
    balance = Balance(groups_of(["head"]), 1.0, 1)
    given = balance.weighted(said)
    balance.measure(loss_of(said), said, loss_of(given), given)
    before = balance.weights
    balance.measure(loss_of(said), said, given.parameters.jaw_pose.sum() * torch.nan, given)
    balance.measure(torch.zeros(()), said, loss_of(given), given)
    assert torch.equal(balance.weights, before)


def test_the_state_of_a_training_has_the_weights(said):
    balance, again = (Balance(groups_of(["head"]), 1.0, 1) for _ in range(2))
    given = balance.weighted(said)
    balance.measure(loss_of(said), said, loss_of(given), given)
    again.load_state_dict(balance.state_dict())
    assert torch.equal(again.weights, balance.weights)
    assert int(again.calls) == 1
