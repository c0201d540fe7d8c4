"""Refines people that agree with their keypoints by the pixels of their photos.

    problem, solution = fit_people(model, observations, coarse, camera)[0]
    result = refine_pixels(problem, solution, photos, masks, parts, config, rasteriser)
    refined = summarise(problem, result.solution)

Head and hands are drawn one after the other and compared with the photo, as one more term of the problem that the
keypoints and priors make: all of it is met by one solution. A part is changed only if its picture is explained better
and its keypoints are not explained worse; it is not tried where the keypoints put it too far from where it is seen.
Rows are independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from fitting.part_pictures import part_boxes, part_pictures
from fitting.picture_parts import KEYPOINTS, PARTS, PicturePart
from fitting.picture_term import PictureTerm
from fitting.pixel_settings import PixelConfig
from fitting.problem import Problem
from fitting.solver import Solution, Status, solve
from fitting.terms import TermSum
from fitting.unknowns import State
from model.batches import map_tensors, put_rows, take_rows
from model.imaging.camera import project
from model.renderer.splat.draw import Rasteriser

_MIN_SEEN = 0.6
"""Share of a part's keypoints that are seen, at least."""
_MIN_PIXELS = 0.03
"""Share of a picture that shows the part, at least."""
_MIN_SIDE_PX = 32.0
"""Of a part in the photo."""
_MEDIAN_SQUARE = 2 * math.log(2)
"""Median of the squared length of two independent numbers of variance 1."""


class PixelStatus(IntEnum):
    """What pixels did to a part."""

    CHANGED = 0
    """It was refined."""
    NOT_SEEN = 1
    """Not tried: too few of its keypoints are seen, or the person was not fitted."""
    FAR_START = 2
    """Not tried: its keypoints are too far from where they are seen."""
    NO_PICTURE = 3
    """Not tried: too little of it is in the photo, or it is too small there."""
    UNEXPLAINED = 4
    """Not changed: its picture shows something else than the part, as far as the texture can say."""
    NO_GAIN = 5
    """Not changed: its picture was not explained better, or hardly."""
    KEYPOINTS_WORSE = 6
    """Not changed: its picture was explained better, its keypoints worse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelResult:
    """People refined by pixels, and how it went; parts in the order of `picture_parts.PARTS`."""

    solution: Solution
    """With the parts that changed."""
    status: Tensor
    """(B, 3) int64 `PixelStatus`."""
    photometric_gain: Tensor
    """(B, 3) share by which the loss of the part's picture fell; NaN where it was not tried."""
    start_share: Tensor
    """(B, 3) how far off the part's keypoints are at the start, as a share of its box; NaN where too few are seen."""
    picture_loss: Tensor
    """(B, 3, 2) before and after, 0..1; NaN where not tried."""
    keypoint_cost: Tensor
    """(B, 3, 2) robust cost of all keypoints in squared standard deviations for each of the part's that is seen, before
    and after; NaN where not tried."""


@torch.inference_mode()
def refine_pixels(
    problem: Problem,
    solution: Solution,
    photos: Sequence[np.ndarray],
    masks: Sequence[np.ndarray | None],
    parts: Sequence[PicturePart],
    config: PixelConfig,
    rasteriser: Rasteriser,
) -> PixelResult:
    """Refines one batch of people.

    Args:
        problem: keypoints and priors.
        solution: what they were fitted to.
        photos: (h, w, 3) uint8 RGB, one a person.
        masks: (h, w) uint8, one a person, as in `datasets_manifest.sources.masks`; None: not known.
        parts: of `picture_parts`, made with the same settings.
        config: settings.
        rasteriser: how Gaussians are drawn; the same to a few digits, in which an accepted part may differ.

    Raises:
        ValueError: Photos and masks are not as many as people, or a mask has not its photo's size.
    """
    count = len(solution.status)
    _check(count, photos, masks)
    like = solution.cost
    status = torch.full((count, len(PARTS)), int(PixelStatus.NOT_SEEN), device=like.device)
    shares, gains = (like.new_full((count, len(PARTS)), torch.nan) for _ in range(2))
    losses, costs = (like.new_full((count, len(PARTS), 2), torch.nan) for _ in range(2))
    fitted = (solution.status != Status.NOT_FINITE) & (solution.status != Status.NO_DATA)
    state = solution.state
    for part in parts:
        number = part.number
        boxes = part_boxes(part, state, problem.people.camera)
        seen, share = _start(problem, state, part, boxes)
        shares[:, number] = share
        tried, reason = _tried(seen & fitted, share, boxes, config)
        status[:, number] = reason
        rows = torch.nonzero(tried).squeeze(1)
        if not len(rows):
            continue
        chosen = [int(row) for row in rows]
        own = replace(problem.take_rows(rows), model=part.body)
        pictures = part_pictures(
            part, boxes[rows], own.people.camera, [photos[row] for row in chosen], [masks[row] for row in chosen]
        )
        before = take_rows(state, rows)
        term, loss_before = PictureTerm.settled(part, pictures, before, rasteriser)
        shown = (term.weight > 0).to(like).mean((1, 2)) >= _MIN_PIXELS
        after = explained_best(own, term, before, shown, config)
        loss_after = term.resettled(after)[1]
        keypoints_before, keypoints_after = (_keypoint_cost(own, pose, number) for pose in (before, after))
        gain = 1 - loss_after / loss_before.clamp(min=torch.finfo(like.dtype).tiny)
        found = torch.full_like(rows, int(PixelStatus.CHANGED))
        found[keypoints_after > keypoints_before + part.settings.keypoint_slack] = int(PixelStatus.KEYPOINTS_WORSE)
        found[~(gain >= config.least_gain)] = int(PixelStatus.NO_GAIN)
        found[loss_after > config.most_loss] = int(PixelStatus.UNEXPLAINED)
        found[~shown] = int(PixelStatus.NO_PICTURE)
        accepted = found == PixelStatus.CHANGED
        status[rows, number] = found
        measured = rows[shown]
        gains[measured, number] = gain[shown]
        losses[measured, number] = torch.stack([loss_before, loss_after], 1)[shown]
        costs[measured, number] = torch.stack([keypoints_before, keypoints_after], 1)[shown]
        state = _with_rows(state, rows[accepted], take_rows(after, torch.nonzero(accepted).squeeze(1)))
    terms = problem.terms(problem.config.final_loss)
    return PixelResult(
        solution=replace(solution, state=state, cost=terms.evaluate(state)[0]),
        status=status,
        photometric_gain=gains,
        start_share=shares,
        picture_loss=losses,
        keypoint_cost=costs,
    )


def explained_best(problem: Problem, term: PictureTerm, start: State, active: Tensor, config: PixelConfig) -> State:
    """The state that meets keypoints, priors and pictures, found among what the part's picture refines.

    Whether it should be taken is not asked here.

    Args:
        problem: keypoints and priors of B people, of the part's body.
        term: pictures of one part of them.
        start: where they are.
        active: (B,) bool; the others stay there.
        config: settings.
    """
    free = torch.zeros(problem.model.layout.size, dtype=torch.bool, device=problem.model.device)
    free[term.part.columns] = True
    if problem.people.shared is not None:
        free[problem.shared_columns] = False
    terms = problem.terms(problem.config.final_loss).terms
    settings = replace(problem.config.solver, max_iterations=config.iterations)
    return solve(TermSum(problem.model, [*terms, term], free), start, settings, active).state


def _check(count: int, photos: Sequence[np.ndarray], masks: Sequence[np.ndarray | None]) -> None:
    if not len(photos) == len(masks) == count:
        raise ValueError(
            f"refine_pixels needs a photo and a mask (or None) a person, got {len(photos)} photos and {len(masks)} "
            f"masks of {count} people"
        )
    for k, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
        if mask is not None and mask.shape != photo.shape[:2]:
            raise ValueError(
                f"the mask of person {k} has {mask.shape[0]} x {mask.shape[1]} px, the photo {photo.shape[0]} x "
                f"{photo.shape[1]}: make it from that photo"
            )


def _start(problem: Problem, state: State, part: PicturePart, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Whether enough of a part's keypoints is seen (B,), and how far off they are (B,), as a share of its box.

    Half of the keypoints are further off than they should be by no more than that; what their own standard deviations
    explain is left out.
    """
    people, points = problem.people, KEYPOINTS[part.number]
    places = project(problem.model.forward(state).points_cam[:, points], people.camera)
    precision = people.precision[:, points]
    seen = precision > 0
    squared = (places - people.keypoints_px[:, points]).square().sum(-1)
    beyond = torch.where(seen, squared - _MEDIAN_SQUARE / precision.square(), torch.nan).nanmedian(1).values
    share = beyond.clamp(min=0).sqrt() / _sides(boxes)
    enough = seen.to(share).mean(1) >= _MIN_SEEN
    return enough, torch.where(enough, share, torch.nan)


def _sides(boxes: Tensor) -> Tensor:
    """Longer sides (B,) of boxes (B, 4)."""
    return (boxes[:, 2:] - boxes[:, :2]).amax(1)


def _tried(seen: Tensor, share: Tensor, boxes: Tensor, config: PixelConfig) -> tuple[Tensor, Tensor]:
    """Which rows (B,) are tried, and why the others are not (B,)."""
    reason = torch.full(seen.shape, int(PixelStatus.NOT_SEEN), device=seen.device)
    near, visible = share <= config.start_share, _sides(boxes) >= _MIN_SIDE_PX
    reason[seen & ~visible] = int(PixelStatus.NO_PICTURE)
    reason[seen & visible & ~near] = int(PixelStatus.FAR_START)
    return seen & visible & near, reason


def _keypoint_cost(problem: Problem, state: State, part: int) -> Tensor:
    """Robust cost (B,) of all keypoints, for each of a part's that is seen: a part may move the others too."""
    forward = problem.model.forward(state)
    costs = [term.cost(state, forward) for term in problem.keypoint_terms(problem.config.final_loss)]
    seen = (problem.people.precision[:, KEYPOINTS[part]] > 0).sum(1)
    return torch.stack(costs, -1).sum(-1) / seen.clamp(min=1)


def _with_rows(state: State, index: Tensor, source: State) -> State:
    """A copy of a state with other rows at an index (R,)."""
    changed = map_tensors(state, torch.clone)
    put_rows(changed, index, source)
    return changed
