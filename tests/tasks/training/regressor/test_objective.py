"""What a step of the training is charged for beside the paper's loss."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training_rig import TINY, random_batch

from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import LossConfig
from model.regressor.network import EhmRegressor
from tasks.training.regressor.objective import Objective


def objective(unseen: float) -> Objective:
    """With a network whose read-outs are far from the mean."""
    torch.manual_seed(0)
    network = EhmRegressor(TINY)
    with torch.no_grad():
        for readout in [*network.smplx_head.children(), *network.flame_head.children()]:
            readout.linear.weight.normal_(std=0.05)
    return Objective(network, KeypointBody(load_open_body()), LossConfig(unseen=unseen), "fp32")


def left_hands() -> TrainingBatch:
    """People of whom the crops show a left hand and nothing else."""
    batch = random_batch(4, 1)
    points = batch.keypoints_2d.clone()
    points[..., :2] *= 0.7
    points[..., 2] = 0.0
    points[:, 91:112, 2] = 1.0
    yes, no = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    return dataclasses.replace(
        batch, keypoints_2d=points, body_valid=no, left_hand_valid=yes, right_hand_valid=no, face_valid=no
    )


def test_the_term_of_what_is_not_seen_is_measured_always_and_charged_by_its_weight() -> None:
    batch = left_hands()
    free_total, free = objective(0.0)(batch)
    held_total, held = objective(0.02)(batch)
    assert free["unseen"] == held["unseen"] > 1
    assert (held_total - free_total).item() == pytest.approx(0.02 * float(held["unseen"]), rel=1e-3)


@pytest.mark.long
def test_descending_leads_to_the_mean_of_what_is_not_seen_and_to_the_hand_that_is() -> None:
    batch = left_hands()

    def walked(unseen: float) -> tuple[dict[str, float], dict[str, float]]:
        charged = objective(unseen)
        readouts = [*charged.network.smplx_head.parameters(), *charged.network.flame_head.parameters()]
        optimiser = torch.optim.Adam(readouts, lr=0.01)
        steps = []
        for _ in range(40):
            total, terms = charged(batch)
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            steps.append({name: float(value) for name, value in terms.items()})
        return steps[0], steps[-1]

    start, held = walked(0.02)
    same_start, free = walked(0.0)
    assert start == same_start
    assert held["unseen"] < 0.1 * start["unseen"]
    assert free["unseen"] > 0.5 * start["unseen"]
    for name in ("left_hand_2d", "left_hand_pose"):
        assert held[name] < 0.8 * start[name]
