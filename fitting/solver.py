"""Batched Levenberg-Marquardt on a manifold. It knows neither body nor camera: a problem is what can be evaluated.

Every row of the batch is a problem of its own, with its own damping, acceptance, status and stopping. A row that turns
bad (non-finite cost, no descent) is frozen at its last good iterate and never touches the others.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import torch
from torch import Tensor

from fitting.rows import choose_rows, copy_rows, put_rows, take_rows


class Status(IntEnum):
    """How the optimisation of one row ended."""

    CONVERGED = 0
    """The cost stopped falling."""
    ITERATION_LIMIT = 1
    """Iterations ran out while the cost was still falling; the best iterate is returned."""
    STALLED = 2
    """No step lowered the cost at any damping."""
    NOT_FINITE = 3
    """The start has no finite cost; the row was left as it came."""
    NO_DATA = 4
    """Nothing to fit: the row was left as it came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SolverConfig:
    """Levenberg-Marquardt settings; results hardly depend on them."""

    max_iterations: int = 25
    """Steps tried, accepted or not."""
    damping: float = 1e-3
    """First damping, relative to the diagonal of the normal matrix."""
    damping_factor: float = 10.0
    """Divides the damping after a good step, multiplies it after a rejected one."""
    max_damping: float = 1e6
    """A row whose damping passes this is stalled."""
    tolerance: float = 1e-4
    """A row is done when an accepted step lowers its cost by less than this share."""
    refresh_every: int = 5
    """Iterations between updates of the problem's discrete choices."""
    compact_share: float = 0.25
    """Finished rows are taken out of the batch once they are more than this share of it."""

    def __post_init__(self) -> None:
        if self.max_iterations < 0 or self.damping <= 0 or self.damping_factor <= 1 or self.refresh_every < 1:
            raise ValueError(
                f"solver settings need max_iterations >= 0, damping > 0, damping_factor > 1 and refresh_every >= 1, "
                f"got {self.max_iterations}, {self.damping}, {self.damping_factor}, {self.refresh_every}"
            )


class Problem(Protocol):
    """B independent least-squares problems. The cost is a sum of squares; gradient and matrix are those of its half."""

    def evaluate(self, state: Any) -> tuple[Tensor, Any]:
        """Cost (B,), and whatever `linearise` and `retract` can reuse."""
        ...

    def linearise(self, state: Any, evaluation: Any) -> tuple[Tensor, Tensor]:
        """Gradient (B, P) and Gauss-Newton matrix (B, P, P)."""
        ...

    def retract(self, state: Any, step: Tensor, evaluation: Any) -> Any:
        """The state moved by a step (B, P)."""
        ...

    def refresh(self, state: Any) -> Any:
        """The state with its discrete choices brought up to date."""
        ...

    def take_rows(self, index: Tensor) -> "Problem":
        """The problems of some rows."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Result of a solve, row by row."""

    state: Any
    """Best iterate."""
    cost: Tensor
    """(B,) its cost."""
    iterations: Tensor
    """(B,) int64 steps tried."""
    status: Tensor
    """(B,) int64 `Status`."""


def damped_step(gradient: Tensor, hessian: Tensor, damping: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solves (H + damping diag H) step = -gradient.

    Returns:
        The step (B, P), the fall of the cost that the model predicts (B,), and which rows could be solved (B,).
        A row without a solution gets a zero step.
    """
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    lift = damping[:, None] * diagonal.clamp(min=torch.finfo(hessian.dtype).tiny)
    damped = hessian.clone()
    damped.diagonal(dim1=1, dim2=2).add_(lift)
    factor, info = torch.linalg.cholesky_ex(damped)
    step = -torch.cholesky_solve(gradient[..., None], factor).squeeze(-1)
    solved = (info == 0) & torch.isfinite(step).all(1)
    step = torch.where(solved[:, None], step, torch.zeros_like(step))
    predicted = (step * (lift * step - gradient)).sum(1)
    return step, predicted, solved


def solve(problem: Problem, start: Any, config: SolverConfig, active: Tensor | None = None) -> Solution:
    """Minimises every row from `start`.

    Args:
        problem: B problems.
        start: initial state.
        config: settings.
        active: (B,) bool; rows that are False are not touched and get `NO_DATA`.
    """
    best = copy_rows(problem.refresh(start))
    cost, evaluation = problem.evaluate(best)
    size, device = len(cost), cost.device
    final_cost = cost.clone()
    iterations = torch.zeros(size, dtype=torch.int64, device=device)
    status = torch.full((size,), int(Status.ITERATION_LIMIT), dtype=torch.int64, device=device)
    status[~torch.isfinite(cost)] = Status.NOT_FINITE
    if active is not None:
        status[~active] = Status.NO_DATA
    rows = torch.nonzero(status == Status.ITERATION_LIMIT).squeeze(1)
    if len(rows) == 0 or config.max_iterations == 0:
        return Solution(state=best, cost=final_cost, iterations=iterations, status=status)

    state, evaluation, cost = take_rows(best, rows), take_rows(evaluation, rows), cost[rows]
    problem = problem.take_rows(rows)
    damping = torch.full_like(cost, config.damping)
    done = torch.zeros(len(rows), dtype=torch.bool, device=device)
    for iteration in range(config.max_iterations):
        if iteration and iteration % config.refresh_every == 0:
            refreshed = problem.refresh(state)
            if refreshed is not state:
                new_cost, new_evaluation = problem.evaluate(refreshed)
                usable = torch.isfinite(new_cost) & ~done
                state = choose_rows(usable, refreshed, state)
                evaluation = choose_rows(usable, new_evaluation, evaluation)
                cost = torch.where(usable, new_cost, cost)
        gradient, hessian = problem.linearise(state, evaluation)
        step, predicted, solved = damped_step(gradient, hessian, damping)
        trial = problem.retract(state, step, evaluation)
        trial_cost, trial_evaluation = problem.evaluate(trial)
        accepted = solved & ~done & (trial_cost < cost)
        fall = torch.where(accepted, cost - trial_cost, torch.zeros_like(cost))
        small = fall <= config.tolerance * cost
        iterations[rows] += (~done).long()
        good = fall > 0.5 * predicted
        eased = torch.where(good, damping / config.damping_factor, damping)
        damping = torch.where(accepted, eased, damping * config.damping_factor).clamp(min=1e-8)
        state = choose_rows(accepted, trial, state)
        evaluation = choose_rows(accepted, trial_evaluation, evaluation)
        cost = torch.where(accepted, trial_cost, cost)

        converged = ~done & ((accepted & small) | (~accepted & (predicted.abs() <= config.tolerance * cost) & solved))
        stalled = ~done & ~converged & (damping > config.max_damping)
        status[rows[converged]] = Status.CONVERGED
        status[rows[stalled]] = Status.STALLED
        done = done | converged | stalled
        num_done = int(done.sum())
        if num_done == len(rows) or iteration == config.max_iterations - 1:
            break
        if num_done > config.compact_share * len(rows):
            put_rows(best, rows, state)
            final_cost[rows] = cost
            keep = torch.nonzero(~done).squeeze(1)
            rows, problem = rows[keep], problem.take_rows(keep)
            state, evaluation, cost, damping = (
                take_rows(state, keep),
                take_rows(evaluation, keep),
                cost[keep],
                damping[keep],
            )
            done = done[keep]
    put_rows(best, rows, state)
    final_cost[rows] = cost
    return Solution(state=best, cost=final_cost, iterations=iterations, status=status)
