"""The runs of the solver over a batch of people, and the second ones of people who are seen several times."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.inputs import Coarse, Observations
from fitting.job import Job
from fitting.parameters import State
from fitting.prepare import prepare
from fitting.settings import RefineConfig
from fitting.shared import (
    Belief,
    fuse,
    information,
    of_the_others,
    person_rows,
    shared_columns,
    shared_values,
    with_shared,
)
from fitting.solver import Solution, Status
from fitting.sparse_body import SparseBody
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A batch of B people that was fitted: what went in, and what came out."""

    job: Job
    """People and beliefs."""
    start: State
    """Where they started."""
    pose_sigma: Tensor
    """(B, 22) sigmas of root and body joints about the start, radians."""
    usable: Tensor
    """(B,) bool: was refined."""
    status: Tensor
    """(B,) int64 `Status`."""
    iterations: Tensor
    """(B,) int64 over all runs."""
    final: Solution
    """Of the last run."""
    boxes_xyxy: Tensor | None
    """(B, 4) person boxes, px."""


def fit_batch(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> Fit:
    """Fits people, each row on its own: a run with the wide robust loss, then one with the tight loss."""
    ready = prepare(model, observations, coarse, camera, config)
    job, start, pose_sigma, usable = ready.job, ready.start, ready.pose_sigma, ready.usable
    wide_stage, final_stage = config.stages(model.device.type)
    wide = job.run(start, start, pose_sigma, wide_stage, usable)
    final = job.run(wide.state, start, pose_sigma, final_stage, usable)
    status = torch.where(ready.bad_input, int(Status.NOT_FINITE), final.status)
    status = torch.where(ready.empty & ~ready.bad_input, int(Status.NO_DATA), status)
    return Fit(
        job=job,
        start=start,
        pose_sigma=pose_sigma,
        usable=usable,
        status=status,
        iterations=wide.iterations + final.iterations,
        final=final,
        boxes_xyxy=observations.boxes_xyxy,
    )


def fit_shared(fits: list[Fit], person_index: Tensor) -> list[Fit]:
    """The batches fitted again, with what the rows of one person share held at what all of them say together."""
    model = fits[0].job.model
    columns = shared_columns(model.layout, model.num_groups).to(model.device)
    own, known, means, precisions = [], [], [], []
    for fit in fits:
        mean, precision = (value[:, columns] for value in fit.job.linear_beliefs(fit.start))
        state = fit.final.state
        problem = fit.job.problem(fit.start, fit.pose_sigma, fit.job.config.final_loss)
        hessian = problem.linearise(state, model.forward(state))[1]
        own.append(shared_values(state, model.layout, columns))
        known.append(information(hessian, columns, precision))
        means.append(mean)
        precisions.append(precision)
    person, num_people = person_rows(person_index)
    belief = Belief(mean=torch.cat(means), precision=torch.cat(precisions))
    use = torch.cat([fit.usable & (fit.status != Status.NOT_FINITE) for fit in fits])
    values = fuse(torch.cat(own), torch.cat(known), belief, person, num_people, use)
    others = of_the_others(torch.cat(known), person, num_people, use)
    sizes = [len(fit.status) for fit in fits]
    parts = zip(fits, values.split(sizes), others.split(sizes), strict=True)
    return [_fit_held(replace(fit, job=replace(fit.job, others=more)), columns, part) for fit, part, more in parts]


def _fit_held(fit: Fit, columns: Tensor, values: Tensor) -> Fit:
    """A batch fitted again from where it is, with the shared unknowns held at values (B, C)."""
    layout, job = fit.job.model.layout, replace(fit.job, shared=values)
    state = with_shared(fit.final.state, layout, columns, values)
    final = job.run(state, fit.start, fit.pose_sigma, job.config.stages(state.position.device.type)[1], fit.usable)
    # The belief that holds them is tight, not rigid: what rounding leaves of their steps is taken back.
    final = replace(final, state=with_shared(final.state, layout, columns, values))
    return replace(
        fit,
        job=job,
        final=final,
        status=torch.where(fit.usable, final.status, fit.status),
        iterations=fit.iterations + final.iterations,
    )
