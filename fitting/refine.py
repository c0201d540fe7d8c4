"""Refines coarse part estimates to an EHM-s body that agrees with 133 keypoints, for a whole batch of people.

    result = refine(SparseBody.from_assets(assets), observations, coarse, camera, RefineConfig())

Two runs of Levenberg-Marquardt, first with a wide, then with a tight robust loss, over all unknowns at once. A person
without a valid body estimate starts from neutral bodies in several yaws, of which the one that fits best goes on.
Rows are independent: a bad one gets its own status and is returned as it came.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fitting.inputs import Coarse, Observations
from fitting.prepare import prepare
from fitting.priors import Gaussian
from fitting.problem import Problem
from fitting.result import RefineResult, summarise
from fitting.settings import RefineConfig
from fitting.shared import fuse, information, information_of_others, person_rows, shared_values, with_shared
from fitting.solver import Solution, Status
from fitting.sparse_body import SparseBody
from model.batches import cat_rows, take_rows
from model.imaging.camera import Camera

__all__ = ["Camera", "Coarse", "Observations", "RefineConfig", "RefineResult", "Status", "refine"]


def refine(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    config: RefineConfig | None = None,
    person_index: Tensor | None = None,
) -> RefineResult:
    """Refines a batch of people.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints and their standard deviations.
        coarse: part estimates with validity flags.
        camera: one pinhole a person.
        config: settings; the default is for photos.
        person_index: (B,) int64; rows with the same number are one person, in several frames say, and share body shape,
            face shape and head scale (`fitting.shared`). None: every row is a person of its own.
    """
    known = observations.has_points
    if person_index is None and bool(known.any()) and not bool(known.all()):
        # Whoever is known in 3D is fitted by other terms, and rounding would go over to those who are not.
        rows = [torch.nonzero(flags).flatten() for flags in (known, ~known)]
        apart = [take_rows(observations, rows[0]), take_rows(observations, rows[1]).without_points]
        results = [
            refine(model, own, take_rows(coarse, part), take_rows(camera, part), config)
            for own, part in zip(apart, rows, strict=True)
        ]
        return take_rows(cat_rows(results), torch.argsort(torch.cat(rows)))
    fits = fit_people(model, observations, coarse, camera, config, person_index)
    with torch.inference_mode():
        results = cat_rows([summarise(problem, solution) for problem, solution in fits])
    # Copies, which may be written to and differentiated like any other tensor.
    return take_rows(results, torch.arange(len(results.status), device=model.device))


def fit_people(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    config: RefineConfig | None = None,
    person_index: Tensor | None = None,
) -> list[tuple[Problem, Solution]]:
    """What `refine` solves, batch by batch, for whoever goes on from there; its arguments and errors."""
    config = config or RefineConfig()
    model = model.with_hand_components(config.num_hand_components)
    model = model.with_eyelids() if config.refine_eyelids else model
    rows = torch.arange(len(observations.keypoints_px), device=model.device)
    if len(rows) == 0:
        raise ValueError("refine got no people; skip the call for an empty shard")
    if not len(rows) == len(coarse.global_orient) == len(camera.focal_px):
        raise ValueError(
            f"refine needs as many estimates and cameras as people, got keypoints of {len(rows)} people, "
            f"{len(coarse.global_orient)} estimates and {len(camera.focal_px)} cameras"
        )
    if person_index is not None and (person_index.shape != (len(rows),) or person_index.is_floating_point()):
        raise ValueError(
            f"person_index needs one integer a row, ({len(rows)},), "
            f"got {tuple(person_index.shape)} of {person_index.dtype}"
        )
    with torch.inference_mode():
        problems = [
            prepare(model, take_rows(observations, part), take_rows(coarse, part), take_rows(camera, part), config)
            for part in rows.split(config.batch_size)
        ]
        fits = [(problem, fit(problem)) for problem in problems]
        return fits if person_index is None else fit_shared(fits, person_index.to(model.device))


def fit(problem: Problem) -> Solution:
    """Fits people, each row on its own: a run with the wide robust loss, then one with the tight loss."""
    wide_stage, final_stage = problem.config.stages(problem.model.device.type)
    wide = problem.solve(problem.people.start, wide_stage)
    final = problem.solve(wide.state, final_stage)
    return replace(final, iterations=wide.iterations + final.iterations)


def fit_shared(fits: list[tuple[Problem, Solution]], person_index: Tensor) -> list[tuple[Problem, Solution]]:
    """The batches fitted again, with what the rows of one person share held at what all of them say together."""
    model, columns = fits[0][0].model, fits[0][0].shared_columns
    priors, own, known, use = [], [], [], []
    for problem, solution in fits:
        prior, state = problem.linear_prior(), solution.state
        hessian = problem.terms(problem.config.final_loss).linearise(state, model.forward(state))[1]
        prior = Gaussian(mean=prior.mean[:, columns], precision=prior.precision[:, columns])
        priors.append(prior)
        own.append(shared_values(state, model.layout, columns))
        known.append(information(hessian, columns, prior.precision))
        use.append(problem.people.usable & (solution.status != Status.NOT_FINITE))
    person, num_people = person_rows(person_index)
    all_known, can_use = torch.cat(known), torch.cat(use)
    values = fuse(torch.cat(own), all_known, cat_rows(priors), person, num_people, can_use)
    others = information_of_others(all_known, person, num_people, can_use)
    sizes = [len(solution.status) for _, solution in fits]
    parts = zip(fits, values.split(sizes), others.split(sizes), strict=True)
    return [_fit_held(*one, columns, value, other) for one, value, other in parts]


def _fit_held(
    problem: Problem, solution: Solution, columns: Tensor, values: Tensor, others: Tensor
) -> tuple[Problem, Solution]:
    """A batch fitted again from where it is, with the shared unknowns held at values (B, C)."""
    layout = problem.model.layout
    problem = replace(problem, people=replace(problem.people, shared=values, others=others))
    final_stage = problem.config.stages(problem.model.device.type)[1]
    final = problem.solve(with_shared(solution.state, layout, columns, values), final_stage)
    # The prior that holds them is tight, not rigid: what rounding leaves of their steps is taken back.
    state = with_shared(final.state, layout, columns, values)
    return problem, replace(final, state=state, iterations=solution.iterations + final.iterations)
