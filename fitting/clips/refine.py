"""Refines people in videos: the frames of a clip in one fit, with one shape and smooth motion.

    result = refine_clips(body, observations, coarse, camera, Clips(clip=..., time_s=...), RefineConfig(), ClipConfig())

Rows are frames, as they are photos for `fitting.refine`, and each gets a result of its own. All are fitted alone first.
A frame that has no neighbour in time stays so, to the bit as `fitting.refine` would, and is told why. Frames that show
nobody, or whose keypoints are not where the clip moves, are bridged from those around them.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.clips.fitted import STRANGE, fitted_windows
from fitting.clips.inputs import Clips
from fitting.clips.joint import summary
from fitting.clips.settings import ClipConfig
from fitting.inputs import Coarse, Observations
from fitting.refine import fit_people
from fitting.result import RefineResult, summarise
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.batches import cat_rows, take_rows
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipResult:
    """Refined people, one row a frame."""

    people: RefineResult
    """Frames that show nothing have the parameters that lead from the frames before to those after; their status is
    that of a fit of their own, and no part of them is valid."""
    joined: Tensor
    """(R,) bool: fitted together with other frames, or bridged by them."""
    reasons: tuple[str | None, ...]
    """Why a row of a clip of several frames was fitted alone; None where it was not, or is the only frame."""


def refine_clips(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    clips: Clips,
    config: RefineConfig | None = None,
    clip_config: ClipConfig | None = None,
) -> ClipResult:
    """Refines R rows, each a frame of a clip of one person.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints of each row and their standard deviations; nothing seen where there is nobody.
        coarse: part estimates of each row.
        camera: one pinhole a row.
        clips: which rows are frames of one clip, and when they were taken.
        config: settings of the refinement; the default is for photos.
        clip_config: how frames are held together.
    """
    config, clip_config = config or RefineConfig(), clip_config or ClipConfig()
    count = len(observations.keypoints_px)
    if len(clips.clip) != count:
        raise ValueError(
            f"refine_clips needs a clip and a time for each row, got {count} rows of keypoints and {len(clips.clip)} "
            "rows of clips"
        )
    fits = fit_people(model, observations, coarse, camera, config)
    with torch.inference_mode():
        people = cat_rows([problem.people for problem, _ in fits])
        problem, solution = replace(fits[0][0], people=people), cat_rows([found for _, found in fits])
        results: list[RefineResult] = []
        places: list[Tensor] = []
        joined = torch.zeros(count, dtype=torch.bool, device=model.device)
        strange = torch.zeros_like(joined)
        for rows in clips.rows():
            windows, of_others = fitted_windows(problem, solution, clips, rows, clip_config)
            strange |= of_others
            for window in windows:
                inside = torch.zeros_like(window.strange)
                inside[window.keep] = True
                kept = torch.nonzero(inside & ~window.strange).squeeze(1)
                strange[window.rows[inside & window.strange]] = True
                places.append(window.rows[kept])
                results.append(take_rows(summary(window.fit), kept))
                joined[places[-1]] = True
        alone = torch.nonzero(~joined).squeeze(1)
        for part in alone.split(config.batch_size):
            if len(part):
                results.append(summarise(problem.take_rows(part), take_rows(solution, part)))
                places.append(part)
        people = take_rows(cat_rows(results), torch.argsort(torch.cat(places)))
        reasons: list[str | None] = [None] * count
        for rows in clips.rows():
            for row in rows[~joined[rows]].tolist() if len(rows) > 1 else ():
                reasons[row] = STRANGE if strange[row] else clip_config.no_neighbour
    return ClipResult(people=people, joined=joined.clone(), reasons=tuple(reasons))
