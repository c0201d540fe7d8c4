"""Refines people in videos of several calibrated cameras: all views of all frames of a clip in one fit.

    result = refine_view_clips(body, observations, coarse, camera, rig, clip, RefineConfig(), RigConfig(), ClipConfig())

Rows are views, as for `fitting.rigs`, whose moments are the frames. The views of a moment are fitted together first,
then the moments of a clip, in the frame of the world: cameras may move. Moments whose views do not agree stay as
`fitting.rigs` fits them.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.fitted import STRANGE, fitted_windows
from fitting.clips.inputs import Clips
from fitting.clips.joint import spread_in_clip
from fitting.clips.motion import ToWorld
from fitting.clips.settings import ClipConfig
from fitting.inputs import Coarse, Observations
from fitting.result import spread_of
from fitting.rigs.inputs import Rig
from fitting.rigs.refine import FittedViews, RigResult, fit_views
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig
from fitting.solver import Solution
from fitting.sparse_body import SparseBody
from fitting.uncertainty import Uncertainty
from model.batches import cat_rows, map_tensors, put_rows, take_rows
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewClipResult:
    """Refined people, one row a view."""

    views: RigResult
    """As of `refine_views`."""
    joined: Tensor
    """(R,) bool: fitted together with other moments too."""
    reasons: tuple[str | None, ...]
    """Why a row was fitted without the other views of its moment, or its moment without the others of its clip; None
    where neither was, or there are no others."""


def refine_view_clips(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    rig: Rig,
    clip: Tensor,
    config: RefineConfig | None = None,
    rig_config: RigConfig | None = None,
    clip_config: ClipConfig | None = None,
) -> ViewClipResult:
    """Refines R rows, each a view of a person at a moment of a clip.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints of each row and their standard deviations.
        coarse: part estimates of each row, in the frame of its camera.
        camera: one pinhole a row.
        rig: extrinsics, moments and times of the rows; moments with higher numbers are later.
        clip: (R,) int64; rows with the same number are of one person.
        config: settings of the refinement; the default is for photos.
        rig_config: how far the rig is trusted.
        clip_config: how moments are held together.
    """
    clip_config = clip_config or ClipConfig()
    clips = _clips_of_moments(rig, clip)
    with torch.inference_mode():
        found = fit_views(model, observations, coarse, camera, rig, config, rig_config)
        in_clip, of_others = torch.zeros_like(found.joined), torch.zeros_like(found.joined)
        if not found.groups:
            reasons = _reasons(found, clip, in_clip, of_others, clip_config)
            return ViewClipResult(views=found.result([]), joined=in_clip, reasons=reasons)
        problem = replace(found.joint[0][0], people=cat_rows([problem.people for problem, _ in found.joint]))
        before = cat_rows([solution for _, solution in found.joint])
        # Clips of the moments whose views agree, of which there may be fewer.
        moments = torch.cat([group.first_row for group in found.groups])
        number = rig.moment.unique(return_inverse=True)[1][moments]
        own = Clips(clip=clips.clip[number], time_s=clips.time_s[number])
        world = _to_world(found)
        solution = map_tensors(before, torch.clone)
        spread = spread_of(problem, before.state, problem.model.forward(before.state))
        moved, strange = torch.zeros_like(number, dtype=torch.bool), torch.zeros_like(number, dtype=torch.bool)
        for rows in own.rows():
            windows, left_out = fitted_windows(problem, before, own, rows, clip_config, world)
            strange |= left_out
            for window in windows:
                inside = torch.zeros_like(window.strange)
                inside[window.keep] = True
                strange[window.rows[inside & window.strange]] = True
                kept = torch.nonzero(inside & ~window.strange).squeeze(1)
                put_rows(solution, window.rows[kept], take_rows(window.fit.solution, kept))
                put_rows(spread, window.rows[kept], take_rows(spread_in_clip(window.fit), kept))
                moved[window.rows[kept]] = True
        row, moment = torch.cat([group.row for group in found.groups]), _moment_of_rows(found)
        in_clip[row], of_others[row] = moved[moment], strange[moment]
        reasons = _reasons(found, clip, in_clip, of_others, clip_config)
        return ViewClipResult(views=_by_batch(found, solution, spread), joined=in_clip.clone(), reasons=reasons)


def _reasons(
    found: FittedViews, clip: Tensor, in_clip: Tensor, strange: Tensor, config: ClipConfig
) -> tuple[str | None, ...]:
    """Of R rows, some of them (R,) of moments that were fitted with others, some that are not of their clip."""
    moment = found.rig.moment
    reasons: list[str | None] = list(found.reasons)
    for number in clip.unique():
        own = torch.nonzero(clip == number).squeeze(1)
        if len(moment[own].unique()) < 2:
            continue
        for row in own[~in_clip[own]].tolist():
            if bool(found.joined[row]):
                reasons[row] = STRANGE if strange[row] else config.no_neighbour
            else:
                reasons[row] = reasons[row] or "one view of its moment: moments of a clip need two that agree"
    return tuple(reasons)


def _clips_of_moments(rig: Rig, clip: Tensor) -> Clips:
    """Clips of the moments of a rig, in the order of their numbers."""
    if clip.shape != rig.moment.shape or clip.is_floating_point():
        raise ValueError(
            f"clips of {len(rig.moment)} views need one integer a row, got {tuple(clip.shape)} of {clip.dtype}"
        )
    names, number = rig.moment.unique(return_inverse=True)
    first = torch.full_like(names, len(number)).scatter_reduce(0, number, torch.arange(len(number)).to(number), "amin")
    torn = torch.nonzero(clip != clip[first][number]).flatten().tolist()
    if torn:
        raise ValueError(
            f"the views of a moment are of one clip: row {torn[0]} of moment {int(rig.moment[torn[0]])} is of clip "
            f"{int(clip[torn[0]])}, another of clip {int(clip[first][number[torn[0]]])}"
        )
    time, own = rig.time_s[first].double(), clip[first]
    for number in own.unique():
        of_clip = torch.nonzero(own == number).squeeze(1)
        early = torch.nonzero(time[of_clip].diff() <= 0).flatten().tolist()
        if early:
            before, then = int(of_clip[early[0]]), int(of_clip[early[0] + 1])
            raise ValueError(
                f"frames of a clip need rising times in seconds: moment {int(names[then])} of clip {int(number)} was "
                f"taken at {float(time[then]):.6g} s, moment {int(names[before])} at {float(time[before]):.6g} s; "
                "number moments in the order of time"
            )
    return Clips(clip=own, time_s=time)


def _to_world(found: FittedViews) -> ToWorld:
    """From the reference camera of every moment to the world."""
    turns, shifts = [], []
    for group, (problem, _) in zip(found.groups, found.joint, strict=True):
        sightings, row = problem.people.sightings, group.first_row
        assert sightings is not None
        size = torch.bincount(group.moment)
        view = group.view[torch.cumsum(size, 0) - size]
        at = torch.arange(len(view), device=view.device), view
        # A view has X_view = R X_reference + s = R' X_world + t.
        own = sightings.rotation[at].double(), sightings.shift_m[at].double()
        back = found.rig.rotation[row].double().transpose(-1, -2)
        turns.append((back @ own[0]).to(problem.model.dtype))
        off = own[1] - found.rig.translation_m[row].double()
        shifts.append((back @ off[..., None]).squeeze(-1).to(problem.model.dtype))
    return ToWorld(turn=torch.cat(turns), shift_m=torch.cat(shifts))


def _moment_of_rows(found: FittedViews) -> Tensor:
    """Number of the moment, over all batches, of every row that is fitted together with others."""
    sizes = [len(solution.status) for _, solution in found.joint]
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return torch.cat([group.moment + start for group, start in zip(found.groups, starts, strict=True)])


def _by_batch(found: FittedViews, solution: Solution, spread: Uncertainty) -> RigResult:
    """The result with moments (M) fitted anew."""
    sizes = [len(old.status) for _, old in found.joint]
    parts = torch.arange(len(solution.status), device=solution.status.device).split(sizes)
    joint = [(problem, take_rows(solution, part)) for (problem, _), part in zip(found.joint, parts, strict=True)]
    return replace(found, joint=joint).result([take_rows(spread, part) for part in parts])
