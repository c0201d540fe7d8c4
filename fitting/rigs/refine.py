"""Refines people seen by several calibrated cameras: all views of a moment in one fit.

    result = refine_views(body, observations, coarse, camera, rig, RefineConfig(), RigConfig())

Rows are views, as they are photos for `fitting.refine`: each has keypoints, estimates and a camera of its own, and gets
a result of its own, in the frame of its camera. Of the views of a moment that agree with each other those results are
one body. A row that agrees with no other is fitted alone, to the bit as `fitting.refine` would, and told why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.inputs import Coarse, Observations
from fitting.prepare import check, with_neutral_starts
from fitting.problem import Problem
from fitting.refine import fit, fit_shared
from fitting.result import RefineResult, spread_of, summarise
from fitting.rigs.agreement import agreeing_views
from fitting.rigs.calibration import refine_extrinsics
from fitting.rigs.inputs import Rig, Views
from fitting.rigs.joint import Joint
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig
from fitting.solver import Solution
from fitting.sparse_body import SparseBody
from fitting.uncertainty import Uncertainty
from model.batches import cat_rows, take_rows
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class RigResult:
    """Refined people, one row a view."""

    people: RefineResult
    """In the frame of each row's camera. What is said of keypoints is said of those of this view."""
    joined: Tensor
    """(R,) bool: fitted together with other views."""
    reasons: tuple[str | None, ...]
    """Why a row of a moment with several views was fitted alone; None where it was not, or is the only view."""
    rig: Rig
    """The rig as it was used: with refined extrinsics, where that was asked for."""


def refine_views(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    rig: Rig,
    config: RefineConfig | None = None,
    rig_config: RigConfig | None = None,
    person_index: Tensor | None = None,
) -> RigResult:
    """Refines R rows, each a view of a person at a moment.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints of each row and their standard deviations.
        coarse: part estimates of each row, in the frame of its camera.
        camera: one pinhole a row; keypoints of other lenses are undistorted first (`model.imaging.lenses`).
        rig: extrinsics, moments and times of the rows.
        config: settings of the refinement; the default is for photos.
        rig_config: how far the rig is trusted.
        person_index: (R,) int64; rows with the same number are one person at several moments, as in `refine`.
    """
    with torch.inference_mode():
        found = fit_views(model, observations, coarse, camera, rig, config, rig_config, person_index)
        return found.result([None] * len(found.groups))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedViews:
    """Solved problems of R rows, for whoever goes on from there."""

    alone: Tensor
    """(R1,) rows that are fitted by themselves."""
    single: list[tuple[Problem, Solution]]
    """Their problems, batch by batch."""
    groups: list[Joint]
    """Moments whose views are fitted together, batch by batch."""
    joint: list[tuple[Problem, Solution]]
    """Their problems."""
    joined: Tensor
    """(R,) bool."""
    reasons: tuple[str | None, ...]
    """As in `RigResult`."""
    rig: Rig
    """As it was used."""

    def result(self, spreads: Sequence[Uncertainty | None]) -> RigResult:
        """What is said of every row; with the uncertainty of each batch of moments, where it is known already."""
        results, places = [summarise(*one) for one in self.single], [self.alone]
        for group, (problem, solution), known in zip(self.groups, self.joint, spreads, strict=True):
            spread = known or spread_of(problem, solution.state, problem.model.forward(solution.state))
            rows = torch.arange(len(group.row), device=group.row.device)
            for part in _batches(rows, problem.config):
                results.append(summarise(*group.by_view(problem, solution, spread, part)))
            places.append(group.row)
        people = take_rows(cat_rows(results), torch.argsort(torch.cat(places)))
        return RigResult(people=people, joined=self.joined.clone(), reasons=self.reasons, rig=self.rig)


def fit_views(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    rig: Rig,
    config: RefineConfig | None = None,
    rig_config: RigConfig | None = None,
    person_index: Tensor | None = None,
) -> FittedViews:
    """What `refine_views` solves; its arguments and errors."""
    config, rig_config = config or RefineConfig(), rig_config or RigConfig()
    model = model.with_hand_components(config.num_hand_components)
    count = len(observations.keypoints_px)
    if not count == len(coarse.global_orient) == len(camera.focal_px) == len(rig.moment):
        raise ValueError(
            f"refine_views needs an estimate, a camera and a place in the rig for each row, got {count} rows of "
            f"keypoints, {len(coarse.global_orient)} estimates, {len(camera.focal_px)} cameras and {len(rig.moment)} "
            "rows of the rig"
        )
    rows = torch.arange(count, device=model.device)
    parts = [
        check(model, take_rows(observations, part), take_rows(coarse, part), take_rows(camera, part), config)
        for part in _batches(rows, config)
    ]
    ready = replace(parts[0], people=cat_rows([part.people for part in parts]))
    views = Views.of(rig.moment)
    use, reasons = agreeing_views(ready, rig, views, rig_config)
    if rig_config.refine_extrinsics:
        rig = refine_extrinsics(ready.people, rig, views, use, rig_config)
    joined = torch.zeros_like(ready.people.usable)
    joined[views.row[use]] = True
    alone = torch.nonzero(~joined).squeeze(1)
    moments = torch.nonzero(use.any(1)).squeeze(1)
    problems = [with_neutral_starts(ready.take_rows(part)) for part in _batches(alone, config)]
    groups = [Joint.of(ready, rig, views.take(part), use[part], rig_config) for part in _batches(moments, config)]
    fits = [(problem, fit(problem)) for problem in (*problems, *(group.problem for group in groups))]
    if person_index is not None:
        rows_of_fits = torch.cat([alone, *(group.first_row for group in groups)])
        fits = fit_shared(fits, person_index.to(model.device)[rows_of_fits])
    return FittedViews(
        alone=alone,
        single=fits[: len(problems)],
        groups=groups,
        joint=fits[len(problems) :],
        joined=joined,
        reasons=reasons,
        rig=rig,
    )


def _batches(index: Tensor, config: RefineConfig) -> list[Tensor]:
    return [part for part in index.split(config.batch_size) if len(part)]
