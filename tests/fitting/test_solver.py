"""The solver on problems without a body."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from fitting.arrow import damped_step
from fitting.settings import SolverConfig
from fitting.solver import Status, solve

CONFIG = SolverConfig(max_iterations=200, tolerance=1e-14)


@dataclass
class Curves:
    """Rows of residuals a exp(-b t) + c - y in the unknowns (a, b, c)."""

    t: torch.Tensor
    y: torch.Tensor

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] * torch.exp(-x[:, 1:2] * self.t) + x[:, 2:] - self.y

    def evaluate(self, state: dict) -> tuple[torch.Tensor, dict]:
        r = self.residual(state["x"])
        return r.square().sum(1), {"r": r}

    def linearise(self, state: dict, evaluation: dict) -> tuple[torch.Tensor, torch.Tensor]:
        x = state["x"]
        e = torch.exp(-x[:, 1:2] * self.t)
        J = torch.stack([e, -x[:, :1] * self.t * e, torch.ones_like(e)], 2)
        return (J.transpose(1, 2) @ evaluation["r"][..., None]).squeeze(-1), J.transpose(1, 2) @ J

    def damped_step(
        self, equations: tuple[torch.Tensor, torch.Tensor], damping: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return damped_step(*equations, damping)

    def retract(self, state: dict, step: torch.Tensor, evaluation: dict) -> dict:
        return {"x": state["x"] + step}

    def refresh(self, state: dict) -> dict:
        return state

    def take_rows(self, index: torch.Tensor) -> "Curves":
        return Curves(self.t[index], self.y[index])


def make(count: int = 12, seed: int = 0) -> tuple[Curves, dict, torch.Tensor]:
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.uniform(1, 3, count), rng.uniform(0.5, 2, count), rng.normal(0, 1, count)], 1)
    t = np.tile(np.linspace(0, 3, 30), (count, 1))
    y = truth[:, :1] * np.exp(-truth[:, 1:2] * t) + truth[:, 2:] + rng.normal(0, 0.05, t.shape)
    start = torch.as_tensor(truth + rng.normal(0, 0.3, truth.shape))
    return Curves(torch.as_tensor(t), torch.as_tensor(y)), {"x": start}, torch.as_tensor(truth)


def test_every_row_reaches_the_minimum_scipy_finds() -> None:
    problem, start, _ = make()
    solution = solve(problem, start, CONFIG)
    for row in range(12):
        one = problem.take_rows(torch.tensor([row]))
        reference = least_squares(
            lambda x, one=one: one.residual(torch.as_tensor(x)[None])[0].numpy(), start["x"][row].numpy(), xtol=1e-14
        )
        assert np.allclose(solution.state["x"][row], reference.x, atol=1e-6)
        assert solution.cost[row].item() == pytest.approx(2 * reference.cost, abs=1e-10)
    assert (solution.status == Status.CONVERGED).all()


def test_a_row_does_not_depend_on_its_batch() -> None:
    problem, start, _ = make()
    together = solve(problem, start, CONFIG)
    for row in (0, 5, 11):
        index = torch.tensor([row])
        alone = solve(problem.take_rows(index), {"x": start["x"][index]}, CONFIG)
        assert torch.allclose(alone.state["x"][0], together.state["x"][row], atol=1e-9)
        assert alone.iterations[0] == together.iterations[row]


def test_bad_rows_are_frozen_and_touch_nobody() -> None:
    problem, start, _ = make()
    expected = solve(problem, start, CONFIG)
    bad = torch.tensor([1, 7])
    problem.y[bad[0], 3] = torch.nan
    start["x"][bad[1], 0] = torch.inf
    solution = solve(problem, start, CONFIG)
    good = torch.ones(12, dtype=torch.bool)
    good[bad] = False
    assert torch.allclose(solution.state["x"][good], expected.state["x"][good], atol=1e-9)
    assert (solution.status[bad] == Status.NOT_FINITE).all()
    assert (solution.status[good] == Status.CONVERGED).all()
    assert torch.equal(solution.state["x"][bad], start["x"][bad])


def test_inactive_rows_are_returned_as_they_came() -> None:
    problem, start, _ = make()
    active = torch.arange(12) % 2 == 0
    solution = solve(problem, start, CONFIG, active)
    assert torch.equal(solution.state["x"][~active], start["x"][~active])
    assert (solution.status[~active] == Status.NO_DATA).all()


def test_the_cost_never_rises() -> None:
    problem, start, _ = make()
    costs = [solve(problem, start, SolverConfig(max_iterations=n, tolerance=1e-14)).cost for n in range(6)]
    for before, after in itertools.pairwise(costs):
        assert (after <= before).all()


def test_running_out_of_iterations_is_said() -> None:
    problem, start, _ = make()
    assert (solve(problem, start, SolverConfig(max_iterations=1)).status == Status.ITERATION_LIMIT).all()


def test_a_singular_row_gets_no_step_and_the_others_do() -> None:
    hessian = torch.stack([torch.eye(3), torch.full((3, 3), torch.nan)])
    step, _, solved = damped_step(torch.ones(2, 3), hessian, torch.full((2,), 1e-3))
    assert solved.tolist() == [True, False]
    assert step[1].abs().max() == 0
    assert torch.allclose(step[0], torch.full((3,), -1 / 1.001))


@dataclass
class Uphill:
    """A problem whose derivative is wrong by its sign: no step lowers the cost."""

    def evaluate(self, state: dict) -> tuple[torch.Tensor, dict]:
        return (state["x"] - 3).square().sum(1) + 1, {}

    def linearise(self, state: dict, evaluation: dict) -> tuple[torch.Tensor, torch.Tensor]:
        return 3 - state["x"], torch.eye(1).expand(len(state["x"]), 1, 1)

    def damped_step(
        self, equations: tuple[torch.Tensor, torch.Tensor], damping: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return damped_step(*equations, damping)

    def retract(self, state: dict, step: torch.Tensor, evaluation: dict) -> dict:
        return {"x": state["x"] + step}

    def refresh(self, state: dict) -> dict:
        return state

    def take_rows(self, index: torch.Tensor) -> "Uphill":
        return self


@pytest.mark.parametrize("plan", ["adaptive", "fixed"])
def test_a_row_that_no_step_improves_is_stalled_not_converged(plan: str) -> None:
    start = {"x": torch.tensor([[0.0], [1.0]])}
    settings = SolverConfig(max_iterations=50, plan=plan)  # pyright: ignore[reportArgumentType]
    solution = solve(Uphill(), start, settings)
    assert (solution.status == Status.STALLED).all()
    assert torch.equal(solution.state["x"], start["x"])
