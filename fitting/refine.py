"""Refines coarse part estimates to an EHM-s body that agrees with 133 keypoints, for a whole batch of people.

    result = refine(SparseBody.from_assets(assets), observations, coarse, camera, RefineConfig())

Two runs of Levenberg-Marquardt, first with a wide, then with a tight robust loss, over all unknowns at once. A person
without a valid body estimate starts from neutral bodies in several yaws, of which the one that fits best goes on.
Rows are independent: a bad one gets its own status and is returned as it came.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import camera as pinhole
from fitting import initialise, so3
from fitting.beliefs import linear_beliefs, pose_sigma_rad, surface_belief
from fitting.camera import Camera
from fitting.evidence import face_turn_rad, gather_evidence
from fitting.inputs import Coarse, Observations, without_bad_values
from fitting.moved import measure_moved
from fitting.parameters import State
from fitting.priors import GaussianTerm, PoseNearnessTerm, RotvecTerm
from fitting.problem import BodyProblem
from fitting.quality import expected_error_mm, figures_of, quality_score
from fitting.recipe import LossScales, RefineConfig
from fitting.residuals import KeypointTerm, precision_of
from fitting.result import Parameters, RefineResult
from fitting.rows import cat_rows, copy_rows, put_rows, repeat_rows, take_rows
from fitting.shared import Belief, fuse, hold, information, person_rows, shared_columns, shared_values, with_shared
from fitting.solver import Solution, Status, solve
from fitting.sparse_body import Forward, SparseBody
from fitting.uncertainty import prior_precision, uncertainty
from model.body import skeleton

__all__ = ["Camera", "Coarse", "Observations", "Parameters", "RefineConfig", "RefineResult", "Status", "refine"]

_DEG = math.pi / 180
_FIRST_EAR = 3


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
        config: settings; the default is the recipe for photos.
        person_index: (B,) int64; rows with the same number are one person, in several frames say, and share body shape,
            face shape and head scale (`fitting.shared`). None: every row is a person of its own.
    """
    config = config or RefineConfig()
    model = model.with_hand_components(config.num_hand_components)
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
    fits = [
        _fit_batch(model, take_rows(observations, part), take_rows(coarse, part), take_rows(camera, part), config)
        for part in rows.split(config.batch_size)
    ]
    if person_index is not None:
        fits = _fit_shared(fits, person_index.to(model.device))
    return cat_rows([_summarise(fit) for fit in fits])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """A batch that was fitted: what went in, and what came out."""

    job: "_Job"
    start: State
    pose_sigma: Tensor
    usable: Tensor
    status: Tensor
    iterations: Tensor
    final: Solution
    boxes_xyxy: Tensor | None


def _fit_batch(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> _Fit:
    """Fits at most `batch_size` people, each row on its own."""
    camera = camera.to(model.dtype)
    observed = observations.keypoints_px.to(model.dtype)
    precision = precision_of(observations.sigma_px.to(model.dtype), observed)
    bad_input, coarse = without_bad_values(coarse, camera, model.dtype)
    empty = (precision > 0).sum(1) < config.min_points
    usable = ~bad_input & ~empty
    camera = Camera(
        focal_px=torch.where(bad_input, torch.ones_like(camera.focal_px), camera.focal_px),
        principal_px=torch.where(bad_input[:, None], torch.zeros_like(camera.principal_px), camera.principal_px),
    )
    observed = torch.where((precision > 0)[..., None], observed, torch.zeros_like(observed))
    precision = torch.where(usable[:, None], precision, torch.zeros_like(precision))

    surface_offset, surface_sigma = surface_belief(observations, config, model.dtype)
    start = initialise.start_state(model, coarse, surface_offset, config)
    behind = initialise.seen_from_behind(model, start, coarse, observed, precision, camera, config.face_away_deg * _DEG)
    precision = torch.where(behind[:, None] & face_keypoints(precision.device), torch.zeros_like(precision), precision)
    pose_sigma = pose_sigma_rad(coarse, config)
    start = initialise.place(model, start, observed, precision, camera)
    if coarse.transl_m is not None:
        given = torch.isfinite(coarse.transl_m).all(1) & coarse.body_valid
        start = replace(
            start,
            position=torch.where(
                given[:, None], pinhole.transl_to_position(coarse.transl_m.nan_to_num(1.0)), start.position
            ),
        )
    job = _Job(
        model=model,
        observed=observed,
        precision=precision,
        surface_sigma=surface_sigma,
        view=camera,
        coarse=coarse,
        config=config,
    )
    lost = torch.nonzero(usable & ~coarse.body_valid).squeeze(1)
    if len(lost):
        start, pose_sigma = copy_rows(start), pose_sigma.clone()
        for part in lost.split(max(1, config.batch_size // config.num_yaws)):
            found, sigma = _search_neutral(job.take_rows(part), take_rows(start, part))
            put_rows(start, part, found)
            pose_sigma[part] = sigma

    most_wide, most_final = config.iteration_limits(model.device)
    wide = job.solve(start, start, pose_sigma, config.wide_loss, most_wide, usable)
    final = job.solve(wide.state, start, pose_sigma, config.final_loss, most_final, usable)
    status = torch.where(bad_input, int(Status.NOT_FINITE), final.status)
    status = torch.where(empty & ~bad_input, int(Status.NO_DATA), status)
    return _Fit(
        job=job,
        start=start,
        pose_sigma=pose_sigma,
        usable=usable,
        status=status,
        iterations=wide.iterations + final.iterations,
        final=final,
        boxes_xyxy=observations.boxes_xyxy,
    )


def _fit_shared(fits: list[_Fit], person_index: Tensor) -> list[_Fit]:
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
    sizes = [len(fit.status) for fit in fits]
    return [_fit_held(fit, columns, part) for fit, part in zip(fits, values.split(sizes), strict=True)]


def _fit_held(fit: _Fit, columns: Tensor, values: Tensor) -> _Fit:
    """A batch fitted again from where it is, with the shared unknowns held at values (B, C)."""
    layout, job = fit.job.model.layout, replace(fit.job, shared=values)
    state = with_shared(fit.final.state, layout, columns, values)
    final = job.solve(state, fit.start, fit.pose_sigma, job.config.final_loss, job.config.iterations, fit.usable)
    # The belief that holds them is tight, not rigid: what rounding leaves of their steps is taken back.
    final = replace(final, state=with_shared(final.state, layout, columns, values))
    return replace(
        fit,
        job=job,
        final=final,
        status=torch.where(fit.usable, final.status, fit.status),
        iterations=fit.iterations + final.iterations,
    )


def face_keypoints(device: torch.device) -> Tensor:
    """(133,) bool: what only a visible face shows, nose, eyes and the 68 landmarks; ears are seen from behind too."""
    mask = torch.zeros(skeleton.NUM_KEYPOINTS, dtype=torch.bool, device=device)
    mask[:_FIRST_EAR] = True
    mask[skeleton.FACE] = True
    return mask


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """Everything that stays the same while people are refined."""

    model: SparseBody
    observed: Tensor
    precision: Tensor
    surface_sigma: Tensor
    view: Camera
    coarse: Coarse
    config: RefineConfig
    shared: Tensor | None = None
    """(B, C) values at which the unknowns that a person's rows share are held; None: every row is on its own."""

    def take_rows(self, index: Tensor) -> "_Job":
        return replace(
            self,
            observed=self.observed[index],
            precision=self.precision[index],
            surface_sigma=self.surface_sigma[index],
            view=take_rows(self.view, index),
            coarse=take_rows(self.coarse, index),
        )

    def repeat_rows(self, times: int) -> "_Job":
        return replace(
            self,
            observed=repeat_rows(self.observed, times),
            precision=repeat_rows(self.precision, times),
            surface_sigma=repeat_rows(self.surface_sigma, times),
            view=repeat_rows(self.view, times),
            coarse=repeat_rows(self.coarse, times),
        )

    def problem(self, prior: State, pose_sigma: Tensor, loss: LossScales) -> BodyProblem:
        """The least-squares problem with beliefs around the state `prior`."""
        config, dtype = self.config, self.model.dtype
        jaw_sigma = torch.tensor(config.jaw_sigma_rad, dtype=dtype, device=self.model.device)
        mean, precision = self.linear_beliefs(prior)
        return BodyProblem(
            self.model,
            [
                KeypointTerm(self.model, self.observed, self.precision, self.view, loss.keypoint),
                PoseNearnessTerm(prior.global_orient, prior.body_pose, pose_sigma, loss.wrong_joints),
                RotvecTerm(config.limit_sigma_rad, so3.log(prior.jaw_pose), jaw_sigma),
                GaussianTerm(self.model.layout, mean, precision),
            ],
        )

    def linear_beliefs(self, prior: State) -> tuple[Tensor, Tensor]:
        """Mean and precision (B, P) of the additive unknowns."""
        beliefs = linear_beliefs(self.model, self.coarse, self.precision, self.surface_sigma, prior, self.config)
        if self.shared is None:
            return beliefs
        columns = shared_columns(self.model.layout, self.model.num_groups).to(self.model.device)
        return hold(*beliefs, columns, self.shared)

    def solve(
        self,
        start: State,
        prior: State,
        pose_sigma: Tensor,
        loss: LossScales,
        iterations: int,
        active: Tensor | None,
    ) -> Solution:
        settings = replace(self.config.solver, max_iterations=iterations)
        return solve(self.problem(prior, pose_sigma, loss), start, settings, active)


def _search_neutral(job: _Job, start: State) -> tuple[State, Tensor]:
    """The best of several neutral bodies for each person: its unrefined state, and its pose sigmas (B, 22)."""
    config, model = job.config, job.model
    count, yaws = len(start.position), config.num_yaws
    root, pose = (part.to(model.device) for part in initialise.neutral_body(yaws, model.dtype))
    people = torch.arange(count, device=model.device)
    tries, many = repeat_rows(start, yaws), job.repeat_rows(yaws)
    tries = replace(
        tries,
        global_orient=root.repeat(count, 1, 1),
        body_pose=pose.expand(count * yaws, -1, -1, -1),
    )
    tries = initialise.place(model, tries, many.observed, many.precision, many.view)
    sigma = torch.tensor(config.neutral_sigma_deg, dtype=model.dtype, device=model.device)
    sigma = (sigma * (_DEG * config.pose_sigma_scale)).expand(count * yaws, -1)
    wide = many.solve(tries, tries, sigma, config.wide_loss, config.graduated_iterations, None)
    finalists = config.num_finalists
    ahead = wide.cost.nan_to_num(torch.inf).view(count, yaws).argsort(1)[:, :finalists]
    kept = (ahead + people[:, None] * yaws).flatten()
    tries = take_rows(tries, kept)
    tight = many.take_rows(kept).solve(
        take_rows(wide.state, kept), tries, sigma[kept], config.final_loss, config.search_iterations, None
    )
    best = tight.cost.nan_to_num(torch.inf).view(count, finalists).argmin(1) + people * finalists
    return take_rows(tries, best), sigma[:count]


def _summarise(fit: _Fit) -> RefineResult:
    """Result of the refined states; rows that were not refined keep their start and are valid in no part."""
    job, start, final, pose_sigma, status = fit.job, fit.start, fit.final, fit.pose_sigma, fit.status
    model, state = job.model, final.state
    forward: Forward = model.forward(state)
    before = model.forward(start)
    keypoints_px = pinhole.project(forward.points_cam, job.view)
    boxes = fit.boxes_xyxy
    evidence = gather_evidence(
        keypoints_px=keypoints_px,
        observed_px=job.observed,
        precision=job.precision,
        inlier_sigma=job.config.inlier_sigma,
        boxes_xyxy=None if boxes is None else boxes.to(model.dtype),
        hand_estimated=job.coarse.hand_valid,
        face_turn=face_turn_rad(forward),
        estimated_turn=face_turn_rad(before),
    )
    refined = (status != Status.NOT_FINITE) & (status != Status.NO_DATA)
    evidence = replace(evidence, part_valid=evidence.part_valid & refined[:, None])
    problem = job.problem(start, pose_sigma, job.config.final_loss)
    _, hessian = problem.linearise(state, forward)
    _, linear = job.linear_beliefs(start)
    beliefs = prior_precision(model.layout, pose_sigma, job.config.jaw_sigma_rad, linear)
    spread = uncertainty(hessian, beliefs, model, forward)
    moved = measure_moved(start, before, state, forward)
    error = expected_error_mm(figures_of(evidence, spread, moved))
    hands = so3.exp(forward.hand_rotvec)
    betas, expression, shape, _ = state.coefficients.split(list(model.num_groups), 1)
    return RefineResult(
        parameters=Parameters(
            transl_m=forward.translation,
            global_orient=state.global_orient,
            body_pose=state.body_pose,
            left_hand_pose=hands[:, 0],
            right_hand_pose=hands[:, 1],
            betas=betas,
            flame_shape=shape,
            flame_expression=expression,
            jaw_pose=state.jaw_pose,
            eye_pose=state.eye_pose,
            eyelids=state.eyelids,
            head_scale=forward.head_scale,
        ),
        keypoints_px=keypoints_px,
        evidence=evidence,
        uncertainty=spread,
        moved=moved,
        expected_error_mm=error,
        iterations=fit.iterations,
        status=status,
        quality=torch.where(refined, quality_score(error), torch.zeros_like(error)),
        cost=final.cost,
        term_costs={type(term).__name__: term.cost(state, forward) for term in problem.terms},
    )
