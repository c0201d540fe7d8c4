"""The frames of a window as one fit: gaps bridged, one shape, smoothness found, and what is known of it afterwards.

Legend: F frames, P unknowns, C shared unknowns, W windows.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.gaps import Seen, between, bridged, loosened, with_gaps_bridged
from fitting.clips.jumps import jumping
from fitting.clips.motion import Motion
from fitting.clips.problem import ClipProblem
from fitting.clips.settings import ClipConfig
from fitting.clips.smoothness import Smoothness
from fitting.prior_terms import GaussianTerm
from fitting.priors import Gaussian, prior_precision
from fitting.problem import Problem
from fitting.result import RefineResult, summarise
from fitting.shared import fuse, hold, rows_share, shared_values, with_shared
from fitting.solver import Solution, solve
from fitting.terms import TermSum
from fitting.uncertainty import Uncertainty, uncertainty
from fitting.unknowns import State
from model.batches import choose_rows, map_tensors, put_rows, take_rows

_MOST_FIRST = 12
"""Steps in which frames that jump are held ever more."""
_OTHERS_COUNT = 1 / 16
"""Share of what other frames say that counts in the stated sigmas: errors of networks last for many frames. With it
error over sigma of joints is 1.0 to 1.1 on synthetic people whose errors last, as frame by frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JointFit:
    """A window's result."""

    problem: Problem
    """Of the F frames, gaps bridged."""
    prior: Gaussian
    """About the additive unknowns (F, P): loosened in gaps, about what is shared once a clip."""
    motion: Motion
    """When the frames were taken, and where from."""
    weight: Tensor
    """(P,) of second differences, as found."""
    solution: Solution
    """Of the F frames: frames that show nothing keep the status of their own fit."""

    def clip(self) -> ClipProblem:
        """What was minimised."""
        return _clip_problem(self.problem, self.prior, self.motion, self.weight)


def fit_window(problem: Problem, solution: Solution, fitted: Tensor, motion: Motion, config: ClipConfig) -> JointFit:
    """Fits F frames of one person together, from the frames' own fits.

    Args:
        problem: of the frames, each on its own.
        solution: their fits.
        fitted: (F,) bool, frames that are fitted to what they show; one at least. The others are bridged.
        motion: when the frames were taken, and where from.
        config: settings.
    """
    model, columns = problem.model, problem.shared_columns
    seen = Seen.of(problem, fitted)
    steady = fitted & ~jumping(model, solution.state, fitted, motion.world)
    state = choose_rows(fitted, bridged(solution.state, steady, motion.time_s), solution.state)
    problem, state = with_gaps_bridged(problem, state, seen, motion.time_s, config)
    # The less time between frames, the more their own errors look like motion, and steps are linear: they start evenly.
    state = bridged(state, motion.far_apart(fitted) | ~fitted, motion.time_s)
    shape = shared_values(solution.state, model.layout, columns)[fitted].mean(0)
    state = with_shared(state, model.layout, columns, shape.expand(len(fitted), -1))
    prior = _once_a_clip(loosened(problem, problem.linear_prior(), seen, config), columns, fitted)
    smoothness = Smoothness(model, config, in_metres=motion.world is not None)
    level, steps = smoothness.start(motion.residual(state), seen), 0
    clip = _clip_problem(problem, prior, motion, smoothness.weight_of(level))
    for _ in range(_MOST_FIRST):
        found = solve(clip, state, replace(problem.config.solver, max_iterations=1))
        state, steps = found.state, steps + int(found.iterations)
        lower = smoothness.tightened(level, motion.residual(state), seen)
        if lower is None:
            break
        level = lower
        clip = clip.weighted(smoothness.weight_of(level))
    weight = smoothness.weight_of(level)
    for _ in range(config.rounds):
        found = solve(clip, state, replace(problem.config.solver, max_iterations=1))
        state, steps = found.state, steps + int(found.iterations)
        weight = smoothness.weight(motion.residual(state), seen)
        clip = clip.weighted(weight)
    start = replace(solution, state=state, iterations=solution.iterations + steps)
    found = _solved(problem, clip, start, fitted)
    return JointFit(problem=problem, prior=prior, motion=motion, weight=weight, solution=found)


def _solved(problem: Problem, clip: ClipProblem, start: Solution, fitted: Tensor) -> Solution:
    """The last run of a window: every fitted frame (F,) gets the status of the clip, and a cost of its own."""
    # Some clips need many steps, each of which is dear beside asking a device whether it was the last.
    settings = replace(problem.config.solver, plan="adaptive", max_iterations=problem.config.iterations)
    found = solve(clip, start.state, settings)
    return Solution(
        state=found.state,
        cost=clip.terms.evaluate(found.state)[0],
        iterations=start.iterations + found.iterations,
        status=torch.where(fitted, found.status, start.status),
    )


def with_one_shape(fits: list[JointFit], fitted: list[Tensor]) -> list[JointFit]:
    """The windows of one person fitted again with what they share held at what all of them say together.

    Args:
        fits: W windows.
        fitted: (F,) of each, as for `fit_window`.
    """
    if len(fits) < 2:
        return fits
    model, columns = fits[0].problem.model, fits[0].problem.shared_columns
    own, known, means, precisions = [], [], [], []
    for fit in fits:
        clip, state = fit.clip(), fit.solution.state
        total = fit.prior.precision[:, columns].sum(0)
        own.append(shared_values(state, model.layout, columns)[0])
        known.append(clip.shared_information(state, model.forward(state)) - torch.diag(total))
        means.append(fit.prior.mean[0, columns])
        precisions.append(total)
    prior = Gaussian(mean=torch.stack(means), precision=torch.stack(precisions))
    everyone = torch.ones(len(fits), dtype=torch.bool, device=model.device)
    person = torch.zeros_like(everyone, dtype=torch.int64)
    values = fuse(torch.stack(own), torch.stack(known), prior, person, 1, everyone)
    return [_held(fit, value, row) for fit, value, row in zip(fits, values, fitted, strict=True)]


def _held(fit: JointFit, values: Tensor, fitted: Tensor) -> JointFit:
    """A window fitted again from where it is, with what its frames share held at values (C,)."""
    layout, columns = fit.problem.model.layout, fit.problem.shared_columns

    def put(state: State) -> State:
        return with_shared(state, layout, columns, values.expand(len(fitted), -1))

    clip = _clip_problem(fit.problem, hold(fit.prior, columns, values), fit.motion, fit.weight)
    start = replace(fit.solution, state=put(fit.solution.state))
    found = _solved(fit.problem, clip, start, fitted)
    # The prior that holds them is tight, not rigid: what rounding leaves of their steps is taken back.
    return replace(fit, solution=replace(found, state=put(found.state)))


def crossfaded(first: JointFit, then: JointFit, overlap: int) -> tuple[JointFit, JointFit]:
    """Two windows whose last and first frames are the same: those go over from the one to the other."""
    low, high = first.solution.state, then.solution.state
    last = torch.arange(len(first.motion.time_s) - overlap, len(first.motion.time_s), device=low.position.device)
    common = torch.arange(overlap, device=last.device)
    share = ((common + 1) / (overlap + 1)).to(low.dtype)
    state = between(take_rows(low, last), take_rows(high, common), share)
    state = replace(state, contour_bin=first.problem.model.contour_bin(state))
    return _with_rows(first, last, state), _with_rows(then, common, state)


def _with_rows(fit: JointFit, rows: Tensor, state: State) -> JointFit:
    whole = map_tensors(fit.solution.state, torch.clone)
    put_rows(whole, rows, state)
    return replace(fit, solution=replace(fit.solution, state=whole))


def summary(fit: JointFit) -> RefineResult:
    """What is said of every frame of a window."""
    return summarise(fit.problem, fit.solution, spread_in_clip(fit))


def spread_in_clip(fit: JointFit) -> Uncertainty:
    """Uncertainty of every frame of a window."""
    problem, state, model = fit.problem, fit.solution.state, fit.problem.model
    forward = model.forward(state)
    jaw_sigma = problem.config.jaw_sigma_rad
    before = prior_precision(model.layout, problem.people.pose_sigma_rad, jaw_sigma, fit.prior.precision)
    columns = problem.shared_columns
    belief = problem.linear_prior().precision[:, columns] - fit.prior.precision[:, columns]
    matrix = fit.clip().informed(state, forward, _OTHERS_COUNT, belief)
    return uncertainty(matrix, before, model, forward)


def _clip_problem(problem: Problem, prior: Gaussian, motion: Motion, weight: Tensor) -> ClipProblem:
    """The frames' own terms with another prior, and their motion."""
    terms = problem.terms(problem.config.final_loss).terms
    layout = problem.model.layout
    terms = [GaussianTerm(layout, prior) if isinstance(term, GaussianTerm) else term for term in terms]
    return ClipProblem(TermSum(problem.model, terms), motion, weight)


def _once_a_clip(prior: Gaussian, columns: Tensor, fitted: Tensor) -> Gaussian:
    """A prior (F, P) whose frames together believe of the unknowns that they share what the fitted ones (F,) believe.

    As in `fitting.shared`, where more than so many frames would outweigh it, it counts for more instead.
    """
    mean, precision = prior.mean.clone(), prior.precision.clone()
    person = torch.zeros(len(fitted), dtype=torch.int64, device=fitted.device)
    share = rows_share(person, 1, fitted).to(mean) * len(fitted)
    mean[:, columns] = mean[fitted][:, columns].mean(0)
    precision[:, columns] = precision[fitted][:, columns].mean(0) / share
    return Gaussian(mean=mean, precision=precision)
