"""Head and wrists of the part estimators end up where they were seen, down the chain of their own side."""

import pytest
import torch
from toy_bodies import random_state

from fitting import initialise, so3
from fitting.sparse_body import SparseBody

CHAINS = {0: (3, 6, 9, 13, 16, 18), 1: (3, 6, 9, 14, 17, 19)}
"""Joints from the root to the left and to the right elbow; SMPL-X's left and right wrist are 20 and 21."""


@pytest.mark.parametrize("side", [0, 1])
def test_a_wrist_is_local_to_the_elbow_of_its_own_side(open_body_f64: SparseBody, side: int) -> None:
    state = random_state(open_body_f64, 3)
    elbow = state.global_orient
    for joint in CHAINS[side]:
        elbow = elbow @ state.body_pose[:, joint - 1]
    turn = so3.exp(torch.tensor([0.3, -0.2, 0.4]).double())
    seen = torch.eye(3).double().expand(3, 2, 3, 3).clone()
    seen[:, side] = elbow @ state.body_pose[:, 19 + side] @ turn
    use = torch.zeros(3, 2, dtype=torch.bool)
    use[:, side] = True
    moved = initialise.with_wrists(open_body_f64, state, seen, use, 1.4, 3.0)
    assert torch.allclose(moved.body_pose[:, 19 + side], elbow.transpose(1, 2) @ seen[:, side], atol=1e-9)
    assert torch.equal(moved.body_pose[:, 20 - side], state.body_pose[:, 20 - side])


def test_neck_and_head_together_are_the_turn_from_chest_to_head(open_body_f64: SparseBody) -> None:
    state = random_state(open_body_f64, 3)
    chest = state.global_orient
    for joint in (3, 6, 9):
        chest = chest @ state.body_pose[:, joint - 1]
    seen = chest @ so3.exp(torch.tensor([[0.2, 0.9, -0.1], [-0.4, 0.0, 0.3], [0.0, -0.6, 0.0]]).double())
    moved = initialise.with_head(open_body_f64, state, seen, torch.ones(3, dtype=torch.bool), 1.5)
    neck, head = moved.body_pose[:, 11], moved.body_pose[:, 14]
    assert torch.allclose(chest @ neck @ head, seen, atol=1e-9)
    assert torch.allclose(neck @ head, head @ neck, atol=1e-9)
