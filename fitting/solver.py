"""Batched Levenberg-Marquardt on a manifold. It knows neither body nor camera: a problem is what can be evaluated.

Every row of the batch is a problem of its own, with its own damping, acceptance, status and stopping. A row that turns
bad (non-finite cost, no descent) is frozen at its last good iterate and never touches the others.

Two plans of the same steps. The adaptive one stops when all rows are done and takes finished rows out of the batch: the
least work. The fixed one always runs all its iterations over all rows and only masks: it asks the device nothing, so a
GPU never waits for the host. Rows come out of both with the same statuses.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import torch
from torch import Tensor

from fitting.settings import SolverConfig
from model.batches import choose_rows, map_tensors, put_rows, take_rows

_MIN_DAMPING = 1e-8


class Status(IntEnum):
    """How the optimisation of one row ended."""

    CONVERGED = 0
    """The cost stopped falling."""
    ITERATION_LIMIT = 1
    """Iterations ran out while the cost was still falling; the best iterate is returned."""
    STALLED = 2
    """No step lowered the cost at any damping."""
    NOT_FINITE = 3
    """The start has no finite cost, or is no start at all; the row was left as it came."""
    NO_DATA = 4
    """Nothing to fit: the row was left as it came."""
    MISFIT = 5
    """However it ended, the result meets fewer than half of its data; said by who knows the data, not by a solve."""


class LeastSquares(Protocol):
    """B independent least-squares problems. The cost is a sum of squares; gradient and matrix are those of its half."""

    def evaluate(self, state: Any) -> tuple[Tensor, Any]:
        """Cost (B,), and whatever `linearise` and `retract` can reuse."""
        ...

    def linearise(self, state: Any, evaluation: Any) -> Any:
        """Gradient and Gauss-Newton matrix, as `damped_step` takes them; the next call may overwrite them."""
        ...

    def damped_step(self, equations: Any, damping: Tensor) -> tuple[Any, Tensor, Tensor]:
        """Solves (H + damping (B,) diag H) step = -gradient: the step, the fall of the cost that the model predicts
        (B,), and which rows could be solved (B,). A row without a solution gets a zero step."""
        ...

    def retract(self, state: Any, step: Any, evaluation: Any) -> Any:
        """The state moved by a step."""
        ...

    def refresh(self, state: Any) -> Any:
        """The state with its discrete choices brought up to date; the same object where none changed."""
        ...

    def take_rows(self, index: Tensor) -> "LeastSquares":
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


@dataclass(kw_only=True, slots=True)
class _Rows:
    """What changes from iteration to iteration, for the rows that are still in the batch."""

    problem: LeastSquares
    state: Any
    evaluation: Any
    cost: Tensor
    damping: Tensor
    status: Tensor
    iterations: Tensor

    @property
    def done(self) -> Tensor:
        return self.status != Status.ITERATION_LIMIT

    def take(self, index: Tensor) -> "_Rows":
        return _Rows(
            problem=self.problem.take_rows(index),
            state=take_rows(self.state, index),
            evaluation=take_rows(self.evaluation, index),
            cost=self.cost[index],
            damping=self.damping[index],
            status=self.status[index],
            iterations=self.iterations[index],
        )

    def put(self, index: Tensor, source: "_Rows") -> None:
        """Writes the result of some rows back."""
        for name in ("state", "cost", "status", "iterations"):
            put_rows(getattr(self, name), index, getattr(source, name))


def solve(problem: LeastSquares, start: Any, config: SolverConfig, active: Tensor | None = None) -> Solution:
    """Minimises every row from `start`.

    Args:
        problem: B problems.
        start: initial state.
        config: settings.
        active: (B,) bool; rows that are False are not touched and get `NO_DATA`.
    """
    state = map_tensors(problem.refresh(start), torch.clone)
    cost, evaluation = problem.evaluate(state)
    status = torch.where(torch.isfinite(cost), int(Status.ITERATION_LIMIT), int(Status.NOT_FINITE))
    if active is not None:
        status = torch.where(active, status, int(Status.NO_DATA))
    rows = _Rows(
        problem=problem,
        state=state,
        evaluation=evaluation,
        cost=cost,
        damping=torch.full_like(cost, config.damping),
        status=status,
        iterations=torch.zeros_like(status),
    )
    if config.is_fixed(cost.device.type):
        for iteration in range(config.max_iterations):
            _iterate(rows, iteration, config, mask_always=True)
    else:
        _run_adaptive(rows, config)
    return Solution(state=rows.state, cost=rows.cost, iterations=rows.iterations, status=rows.status)


def _run_adaptive(rows: _Rows, config: SolverConfig) -> None:
    """Iterates until all rows are done; those that are leave the batch."""
    whole, index = rows, torch.arange(len(rows.cost), device=rows.cost.device)
    for iteration in range(config.max_iterations):
        left = torch.nonzero(~rows.done).squeeze(1)
        if len(left) == 0:
            break
        if len(left) < len(rows.cost):
            if rows is not whole:
                whole.put(index, rows)
            index, rows = index[left], rows.take(left)
        _iterate(rows, iteration, config, mask_always=False)
    if rows is not whole:
        whole.put(index, rows)


def _iterate(rows: _Rows, iteration: int, config: SolverConfig, *, mask_always: bool) -> None:
    """One damped step of every row that is not done."""
    if iteration and iteration % config.refresh_every == 0:
        _refresh(rows)
    problem, cost, done = rows.problem, rows.cost, rows.done
    equations = problem.linearise(rows.state, rows.evaluation)
    step, predicted, solved = problem.damped_step(equations, rows.damping)
    trial = problem.retract(rows.state, step, rows.evaluation)
    trial_cost, trial_evaluation = problem.evaluate(trial)
    accepted = solved & ~done & (trial_cost < cost)
    fall = torch.where(accepted, cost - trial_cost, 0.0)
    # What counts as small is a share of the cost before the step, for a fall that came true and for one foretold. A
    # foretold one counts only while the damping is low: a high damping foretells a small fall anywhere.
    foretold = torch.where(rows.damping <= config.damping, predicted.abs(), torch.inf)
    small = torch.where(accepted, fall, foretold) <= config.tolerance * cost
    eased = torch.where(fall > 0.5 * predicted, rows.damping / config.damping_factor, rows.damping)
    damping = torch.where(accepted, eased, rows.damping * config.damping_factor).clamp(min=_MIN_DAMPING)
    converged = ~done & solved & small
    stalled = ~done & ~converged & (damping > config.max_damping)
    status = torch.where(converged, int(Status.CONVERGED), rows.status)
    rows.status = torch.where(stalled, int(Status.STALLED), status)
    rows.iterations = rows.iterations + (~done)
    rows.damping = torch.where(done, rows.damping, damping)
    if not mask_always and bool(accepted.all()):
        rows.state, rows.evaluation, rows.cost = trial, trial_evaluation, trial_cost
        return
    rows.state = choose_rows(accepted, trial, rows.state)
    rows.evaluation = choose_rows(accepted, trial_evaluation, rows.evaluation)
    rows.cost = torch.where(accepted, trial_cost, cost)


def _refresh(rows: _Rows) -> None:
    """Brings the discrete choices of rows that are not done up to date, where the cost stays finite."""
    refreshed = rows.problem.refresh(rows.state)
    if refreshed is rows.state:
        return
    cost, evaluation = rows.problem.evaluate(refreshed)
    usable = torch.isfinite(cost) & ~rows.done
    rows.state = choose_rows(usable, refreshed, rows.state)
    rows.evaluation = choose_rows(usable, evaluation, rows.evaluation)
    rows.cost = torch.where(usable, cost, rows.cost)
