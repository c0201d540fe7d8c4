"""The frames of a clip fitted window by window, without those that are not of it."""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.inputs import Clips
from fitting.clips.joint import JointFit, crossfaded, fit_window, with_one_shape
from fitting.clips.motion import Motion, ToWorld
from fitting.clips.settings import ClipConfig
from fitting.clips.strands import Path, strands
from fitting.clips.windows import windows
from fitting.problem import Problem
from fitting.solver import Solution, Status
from fitting.unknowns import State
from model.batches import take_rows
from model.body import skeleton
from model.imaging.camera import position_to_transl

STRANGE = "its keypoints are not where the clip moves: somebody else, or a part of another scene"
"""Why a frame is left out."""
_MOST_MISSED = 0.5
"""Share of the largest loss of the keypoints up to which a fit meets a frame."""
_POINTS = slice(skeleton.BODY.start, skeleton.FEET.stop)
_SWAPPED = skeleton.KEYPOINT_FLIP[_POINTS]
_LEGS = skeleton.KEYPOINT_NAMES.index("left_knee")
"""First point of knees, ankles and feet."""
_NAMES = (tuple(range(len(_SWAPPED))), _SWAPPED, (*range(_LEGS), *_SWAPPED[_LEGS:]))
"""As they are, left and right swapped, and of the legs alone: what detectors do for some frames, and is nobody else."""
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
) -> tuple[list[FittedWindow], Tensor]:
    """The frames of one clip, window by window, and which of them (R,) show somebody else among those of a person.

    Those, frames without neighbours, and windows that show nobody, are in no window.

    Args:
        problem: of R frames, each on its own.
        solution: their fits.
        clips: of the R frames.
        rows: those of one clip.
        config: settings.
        world: where the cameras of the R frames stand; None for one camera a clip.
    """
    shown = problem.people.usable & (solution.status != Status.NOT_FINITE)
    path = _path(problem, solution, rows[shown[rows]], clips.time_s, world)
    found, strange = [], torch.zeros_like(shown)
    strange[rows] = shown[rows]
    for own in _people(rows, shown, strands(path)):
        strange[own] = False
        found += _of_one_person(problem, solution, clips, own, config, world)
    return found, strange


def _path(problem: Problem, solution: Solution, rows: Tensor, time_s: Tensor, world: ToWorld | None) -> Path:
    """The points of body and feet of some rows (F,): in the world, or across the rays of the camera."""
    people = problem.people
    seen = people.precision[rows, _POINTS] > 0
    names = torch.tensor(_NAMES, device=seen.device)
    if world is None:
        depth = position_to_transl(solution.state.position[rows])[:, 2]
        scale = (depth.median() if len(rows) else 1.0) / people.camera.focal_px[rows]
        places = people.keypoints_px[rows, _POINTS] - people.camera.principal_px[rows, None]
        return Path(places * scale[:, None, None], seen, time_s[rows], names)
    parts = rows.split(problem.config.batch_size)
    bodies = [problem.model.forward(take_rows(solution.state, part)).points_cam[:, _POINTS] for part in parts]
    places = torch.cat(bodies) @ world.turn[rows].mT + world.shift_m[rows, None]
    return Path(places, seen, time_s[rows], names)


def _people(rows: Tensor, shown: Tensor, people: list[Tensor]) -> list[Tensor]:
    """Rows of each person of a clip, in the order of time, each with the frames that show nobody, up to the next one.

    Args:
        rows: (F,) of the clip.
        shown: (R,) bool: shows somebody.
        people: of the rows that show somebody, by their place among them.
    """
    places = torch.nonzero(shown[rows]).squeeze(1)
    own = sorted((places[person] for person in people if len(person) > 1 or len(places) == 1), key=lambda one: one[0])
    ends = [int(person[0]) for person in own[1:]] + [len(rows)]
    found = []
    for number, (person, end) in enumerate(zip(own, ends, strict=False)):
        belongs = ~shown[rows]
        belongs[person] = True
        belongs[end:] = False
        belongs[: int(person[0]) if number else 0] = False
        found.append(rows[belongs])
    return found


def _of_one_person(
    problem: Problem, solution: Solution, clips: Clips, rows: Tensor, config: ClipConfig, world: ToWorld | None
) -> list[FittedWindow]:
    """The rows of one person, window by window."""
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
            # Who is named the wrong way round is the same person, and led through like one who is not seen.
            strange = strange | (missed & ~_is_mirrored(own, fit.solution.state))
            fitted = fitted & ~missed
            fit = fit_window(own, alone, fitted, motion, config)
        found.append(FittedWindow(rows=window.rows, keep=window.keep, strange=strange, fit=fit))
        masks.append(fitted)
    fits = with_one_shape([window.fit for window in found], masks)
    for place, (one, other) in enumerate(itertools.pairwise(found)):
        if overlap := int(torch.isin(one.rows, other.rows).sum()):
            fits[place], fits[place + 1] = crossfaded(fits[place], fits[place + 1], overlap)
    return [replace(window, fit=fit) for window, fit in zip(found, fits, strict=True)]


def _is_mirrored(problem: Problem, state: State) -> Tensor:
    """(F,) bool: with left and right changed, of the whole person or of the body alone, a fit meets what a frame
    shows."""
    people = problem.people
    if people.sightings is not None:  # The other views have it right, or told of the one that has not.
        return torch.zeros(len(people.precision), dtype=torch.bool, device=people.precision.device)
    everything = torch.tensor(skeleton.KEYPOINT_FLIP, device=people.precision.device)
    body = torch.arange(len(everything), device=everything.device)
    body[_POINTS] = everything[_POINTS]
    meets = []
    for names in (everything, body):
        other = replace(people, keypoints_px=people.keypoints_px[:, names], precision=people.precision[:, names])
        meets.append(~_misses(replace(problem, people=other), state))
    return meets[0] | meets[1]


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
