"""The frames of a window as one fit: gaps bridged, one shape, smoothness found, and what is known of it afterwards.

Legend: F frames, P unknowns, C shared unknowns.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.gaps import Seen, loosened, with_gaps_bridged
from fitting.clips.inputs import ClipConfig
from fitting.clips.motion import Motion
from fitting.clips.problem import ClipProblem
from fitting.clips.smoothness import Smoothness
from fitting.prior_terms import GaussianTerm
from fitting.priors import Gaussian
from fitting.problem import Problem
from fitting.shared import rows_share, shared_values, with_shared
from fitting.solver import Solution, Status, solve
from fitting.terms import TermSum
from fitting.unknowns import State


@dataclass(frozen=True, kw_only=True, slots=True)
class JointFit:
    """A window's result."""

    problem: Problem
    """Of the F frames, with gaps bridged and the shape that they share."""
    solution: Solution
    """Of the F frames; all have the status of the clip but those that show nothing."""
    clip: ClipProblem
    """What was minimised last."""


def fit_window(problem: Problem, solution: Solution, time_s: Tensor, config: ClipConfig) -> JointFit:
    """Fits F frames of one person together, from the frames' own fits.

    Args:
        problem: of the frames, each on its own.
        solution: their fits.
        time_s: (F,) rising.
        config: settings.
    """
    model, columns = problem.model, problem.shared_columns
    fitted = problem.people.usable & (solution.status != Status.NOT_FINITE)
    seen = Seen.of(problem, fitted)
    problem, state = with_gaps_bridged(problem, solution.state, seen, time_s)
    own = shared_values(solution.state, model.layout, columns)[fitted].mean(0)
    state = with_shared(state, model.layout, columns, own.expand(len(fitted), -1))
    prior = once_a_clip(loosened(problem, problem.linear_prior(), seen, config), columns, fitted)
    terms = problem.terms(problem.config.final_loss)
    terms = TermSum(
        model, [GaussianTerm(model.layout, prior) if isinstance(term, GaussianTerm) else term for term in terms.terms]
    )
    motion, smoothness = Motion(model.layout, time_s), Smoothness(model, config)
    final = problem.config.stages(model.device.type)[1]
    settings = replace(problem.config.solver, max_iterations=config.round_steps)
    weight, steps = smoothness.first_weight(), 0
    for _ in range(config.rounds):
        found = solve(ClipProblem(terms, motion, weight), state, settings)
        state, steps = found.state, steps + int(found.iterations)
        weight = smoothness.weight(motion.residual(state), seen)
    clip = ClipProblem(terms, motion, weight)
    found = solve(clip, state, replace(settings, max_iterations=final.iterations, tolerance=final.tolerance))
    status = torch.where(fitted, found.status, solution.status)
    cost = terms.evaluate(found.state)[0]
    iterations = solution.iterations + steps + found.iterations
    return JointFit(
        problem=problem,
        solution=Solution(state=found.state, cost=cost, iterations=iterations, status=status),
        clip=clip,
    )


def once_a_clip(prior: Gaussian, columns: Tensor, fitted: Tensor) -> Gaussian:
    """A prior (F, P) whose frames together believe of the unknowns that they share what the fitted ones (F,) believe.

    As in `fitting.shared`, where more than so many frames would outweigh it, it counts for more instead.
    """
    mean, precision = prior.mean.clone(), prior.precision.clone()
    person = torch.zeros(len(fitted), dtype=torch.int64, device=fitted.device)
    share = rows_share(person, 1, fitted).to(mean) * len(fitted)
    mean[:, columns] = mean[fitted][:, columns].mean(0)
    precision[:, columns] = precision[fitted][:, columns].mean(0) / share
    return Gaussian(mean=mean, precision=precision)
