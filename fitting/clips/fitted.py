"""The frames of a clip fitted window by window, without those that are not of it."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.inputs import Clips
from fitting.clips.joint import JointFit, crossfaded, fit_window, with_one_shape
from fitting.clips.motion import Motion, ToWorld
from fitting.clips.settings import ClipConfig
from fitting.clips.windows import windows
from fitting.problem import Problem
from fitting.solver import Solution, Status
from fitting.unknowns import State
from model.batches import take_rows

_MOST_MISSED = 0.5
"""Share of the largest loss of the keypoints up to which a fit meets a frame."""
_MOST_ROUNDS = 2
"""Fits of a window anew, without the frames that the one before did not meet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedWindow:
    """Frames that were fitted together."""

    rows: Tensor
    """(F,)."""
    keep: slice
    """Those that are of this window."""
    strange: Tensor
    """(F,) bool: met by a fit of their own, not by that of the clip."""
    fit: JointFit
    """Of all."""


def fitted_windows(
    problem: Problem, solution: Solution, clips: Clips, rows: Tensor, config: ClipConfig, world: ToWorld | None = None
) -> list[FittedWindow]:
    """The frames of one clip, window by window; those without neighbours, and windows that show nobody, left out.

    Args:
        problem: of R frames, each on its own.
        solution: their fits.
        clips: of the R frames.
        rows: those of one clip.
        config: settings.
        world: where the cameras of the R frames stand; None for one camera a clip.
    """
    found: list[FittedWindow] = []
    masks: list[Tensor] = []
    for window in windows(rows, clips.time_s, config):
        own, alone = problem.take_rows(window.rows), take_rows(solution, window.rows)
        fitted = own.people.usable & (alone.status != Status.NOT_FINITE)
        if len(window.rows) < 2 or not bool(fitted.any()):
            continue
        motion = Motion(
            problem.model.layout,
            clips.time_s[window.rows].double(),
            None if world is None else take_rows(world, window.rows),
        )
        strange = torch.zeros_like(fitted)
        fit = fit_window(own, alone, fitted, motion, config)
        for _ in range(_MOST_ROUNDS):
            missed = fitted & _misses(own, fit.solution.state) & ~_misses(own, alone.state)
            if not bool(missed.any()) or bool(missed[fitted].all()):
                break
            strange, fitted = strange | missed, fitted & ~missed
            fit = fit_window(own, alone, fitted, motion, config)
        found.append(FittedWindow(rows=window.rows, keep=window.keep, strange=strange, fit=fit))
        masks.append(fitted)
    fits = with_one_shape([window.fit for window in found], masks)
    for place, (one, other) in enumerate(itertools.pairwise(found)):
        if overlap := int(torch.isin(one.rows, other.rows).sum()):
            fits[place], fits[place + 1] = crossfaded(fits[place], fits[place + 1], overlap)
    return [replace(window, fit=fit) for window, fit in zip(found, fits, strict=True)]


def _misses(problem: Problem, state: State) -> Tensor:
    """(F,) bool: the robust loss takes most of what a frame shows for outliers."""
    forward = problem.model.forward(state)
    terms = problem.keypoint_terms(problem.config.final_loss)
    cost = torch.stack([term.cost(state, forward) for term in terms]).sum(0)
    sightings = problem.people.sightings
    if sightings is None:
        number = (problem.people.precision > 0).sum(1)
    else:
        stated = sightings.stated
        number = (sightings.precision > 0).sum((1, 2))
        number = number + (stated.point_precision > 0).sum(1) + (stated.joint_precision > 0).sum(1)
    return cost > _MOST_MISSED * problem.config.robust_scale**2 * number
