"""Laws of stepping on the manifold of poses."""

import pytest
import torch
from toy_bodies import random_state

from fitting import so3
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, retract


def test_a_zero_step_changes_nothing(toy_body: SparseBody) -> None:
    state = random_state(toy_body, 3)
    step = torch.zeros(3, toy_body.layout.size, dtype=toy_body.dtype)
    same = retract(state, step, toy_body.forward(state).rotations, toy_body.layout)
    assert same.carried is state.carried
    for name in set(state.__slots__) - {"carried"}:
        assert torch.equal(getattr(same, name), getattr(state, name))


def test_steps_stay_rotations(toy_body: SparseBody) -> None:
    state = random_state(toy_body, 3)
    for _ in range(20):
        step = torch.randn(3, toy_body.layout.size, dtype=toy_body.dtype)
        state = retract(state, step, toy_body.forward(state).rotations, toy_body.layout)
    R = state.body_pose
    assert (R.transpose(-1, -2) @ R - torch.eye(3, dtype=R.dtype)).abs().max() < 1e-12


def test_a_turn_is_about_world_axes_and_carries_the_limb(toy_body: SparseBody) -> None:
    """Turning the left elbow (joint 18) by d makes G exp(d) G for it and all below, and leaves the rest."""
    state = random_state(toy_body, 2)
    before = toy_body.forward(state).rotations
    turn = torch.tensor([0.2, -0.3, 0.4], dtype=toy_body.dtype)
    step = torch.zeros(2, toy_body.layout.size, dtype=toy_body.dtype)
    step[:, BODY.start + 3 * 17 : BODY.start + 3 * 18] = turn
    after = toy_body.forward(retract(state, step, before, toy_body.layout)).rotations
    for joint in (18, 20, 25, 39):
        assert (after[:, joint] - so3.exp(turn) @ before[:, joint]).abs().max() < 1e-12
    for joint in (0, 16, 19, 15, 40):
        assert (after[:, joint] - before[:, joint]).abs().max() < 1e-12


@pytest.mark.parametrize("has_eyelids", [False, True])
def test_layout_covers_a_step_without_gaps(has_eyelids: bool, toy_body: SparseBody) -> None:
    layout = (toy_body.with_eyelids() if has_eyelids else toy_body).layout
    assert layout.coefficients.stop == layout.log_head_scale.start
    assert layout.log_head_scale.stop == layout.eyelids.start
    assert layout.eyelids.stop - layout.eyelids.start == 2 * has_eyelids
    assert layout.eyelids.stop == layout.hand(0).start
    assert layout.hand(1).stop == layout.size


def test_a_body_elsewhere_steps_the_same(toy_body: SparseBody) -> None:
    some = toy_body.with_eyelids().with_hand_components(12)
    assert some.to(dtype=torch.float32).layout == some.layout
