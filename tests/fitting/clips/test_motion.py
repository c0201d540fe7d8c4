"""Second differences over time: gradient and laws."""

from dataclasses import replace

import torch
from toy_bodies import random_state

from fitting import so3
from fitting.clips.motion import UNIT_S, Motion
from fitting.sparse_body import SparseBody
from fitting.unknowns import State, retract
from model.batches import take_rows

FRAMES = 5
TIMES = torch.tensor([0.0, 1.0, 1.5, 4.0, 4.7], dtype=torch.float64) * UNIT_S


def still(body: SparseBody, frames: int) -> State:
    return take_rows(random_state(body, 1, seed=3), torch.zeros(frames, dtype=torch.int64))


def steady(body: SparseBody, times: torch.Tensor, bend: float = 0.0) -> State:
    """A person who turns and moves at one speed, or at one that changes with `bend`."""
    state, share = still(body, len(times)), times + bend * times.square()
    turn = so3.exp(share[:, None] * torch.tensor([0.3, -2.0, 0.4], dtype=torch.float64))
    return replace(
        state,
        global_orient=state.global_orient @ turn,
        position=state.position + share[:, None] * torch.tensor([0.1, 0.2, -0.1], dtype=torch.float64),
        hand_pca=state.hand_pca + share[:, None, None],
    )


def test_the_gradient_is_that_of_the_cost(toy_body: SparseBody) -> None:
    motion, state = Motion(toy_body.layout, TIMES), random_state(toy_body, FRAMES)
    size = toy_body.layout.size
    weight = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    world = toy_body.forward(state).rotations
    # Local steps e are what a step of the solver is in a frame whose joints stand upright.
    upright = torch.eye(3, dtype=torch.float64).expand_as(world)
    gradient = motion.gradient(state, weight)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        direction = torch.randn(FRAMES, size, dtype=torch.float64, generator=generator)
        costs = [motion.cost(retract(state, e * direction, upright, toy_body.layout), weight) for e in (1e-5, -1e-5)]
        slope = (costs[0] - costs[1]) / 4e-5
        assert torch.isclose(slope, (gradient * direction).sum(), rtol=1e-6)


def test_steady_motion_costs_nothing_at_any_times(toy_body: SparseBody) -> None:
    motion = Motion(toy_body.layout, TIMES)
    assert motion.residual(steady(toy_body, TIMES)).abs().max() < 1e-9
    assert motion.residual(steady(toy_body, TIMES, bend=1.0)).abs().max() > 1e-3


def test_the_cost_hardly_depends_on_the_rate_of_frames(toy_body: SparseBody) -> None:
    weight, costs = torch.ones(toy_body.layout.size, dtype=torch.float64), []
    for rate in (30, 60, 120):
        times = torch.arange(2 * rate, dtype=torch.float64) / rate
        costs.append(float(Motion(toy_body.layout, times).cost(steady(toy_body, times, bend=0.7), weight)))
    assert max(costs) < 1.04 * min(costs)


def test_backwards_in_time_is_as_even(toy_body: SparseBody) -> None:
    weight, state = torch.ones(toy_body.layout.size, dtype=torch.float64), random_state(toy_body, FRAMES)
    there = Motion(toy_body.layout, TIMES).cost(state, weight)
    back = Motion(toy_body.layout, -TIMES.flip(0)).cost(take_rows(state, torch.arange(FRAMES).flip(0)), weight)
    assert torch.isclose(there, back)


def test_two_frames_have_no_change_of_velocity(toy_body: SparseBody) -> None:
    motion, state = Motion(toy_body.layout, TIMES[:2]), random_state(toy_body, 2)
    assert motion.residual(state).shape == (0, toy_body.layout.size)
    assert motion.cost(state, torch.ones(toy_body.layout.size, dtype=torch.float64)) == 0
