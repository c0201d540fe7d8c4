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
from fitting.camera import Camera
from fitting.inputs import Coarse, Observations
from fitting.parameters import POSITION, State
from fitting.priors import GaussianTerm, PoseNearnessTerm, RotvecTerm, linear_coordinates, merge_beliefs
from fitting.problem import BodyProblem
from fitting.quality import Evidence, Uncertainty, expected_error_mm, gather_evidence, quality_score, uncertainty
from fitting.recipe import RefineConfig
from fitting.residuals import KeypointTerm, precision_of
from fitting.rows import cat_rows, copy_rows, put_rows, repeat_rows, take_rows
from fitting.solver import Solution, Status, solve
from fitting.sparse_body import Forward, SparseBody
from model.body import skeleton

__all__ = ["Camera", "Coarse", "Observations", "Parameters", "RefineConfig", "RefineResult", "Status", "refine"]

_DEG = math.pi / 180
_HEAD_JOINTS = (12, 15)
_WRIST_JOINTS = (20, 21)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """EHM-s parameters of B people, named as in the label files; rotations as matrices, `rotvecs` as axis-angle."""

    transl_m: Tensor
    """(B, 3) pelvis in the camera frame."""
    global_orient: Tensor
    """(B, 3, 3)."""
    body_pose: Tensor
    """(B, 21, 3, 3)."""
    left_hand_pose: Tensor
    """(B, 15, 3, 3), flat hand = identity."""
    right_hand_pose: Tensor
    """(B, 15, 3, 3)."""
    betas: Tensor
    """(B, 10)."""
    flame_shape: Tensor
    """(B, 10)."""
    flame_expression: Tensor
    """(B, 10)."""
    jaw_pose: Tensor
    """(B, 3, 3)."""
    eye_pose: Tensor
    """(B, 2, 3, 3)."""
    eyelids: Tensor
    """(B, 2)."""
    head_scale: Tensor
    """(B, 3)."""

    def rotvecs(self) -> dict[str, Tensor]:
        """All parameters by label column, rotations as flat axis-angle (B, 3 n), float32."""
        columns = {}
        for name in self.__slots__:
            value = getattr(self, name)
            columns[name] = (
                so3.log(value).flatten(1) if value.shape[-2:] == (3, 3) and value.dim() > 2 else value
            ).float()
        return columns


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineResult:
    """Refined people, and how it went, row by row."""

    parameters: Parameters
    """EHM-s parameters."""
    keypoints_px: Tensor
    """(B, 133, 2) keypoints of the refined body in the image."""
    evidence: Evidence
    """Residuals, inliers, per-part reprojection errors, part validity."""
    uncertainty: Uncertainty
    """Posterior standard deviations."""
    moved_rad: Tensor
    """(B,) mean angle between the joints (root and body) of the coarse estimate, or neutral start, and the result."""
    iterations: Tensor
    """(B,) int64, over both runs."""
    status: Tensor
    """(B,) int64 `Status`."""
    quality: Tensor
    """(B,) 0..1; 0 for a row that could not be refined."""
    cost: Tensor
    """(B,) final robust cost with priors."""

    @property
    def converged(self) -> Tensor:
        """(B,) bool."""
        return self.status == Status.CONVERGED

    @property
    def part_valid(self) -> Tensor:
        """(B, 4) bool: body, left hand, right hand, face."""
        return self.evidence.part_valid


def refine(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig | None = None
) -> RefineResult:
    """Refines a batch of people.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints and their standard deviations.
        coarse: part estimates with validity flags.
        camera: one pinhole a person.
        config: settings; the default is the recipe for photos.
    """
    config = config or RefineConfig()
    rows = torch.arange(len(observations.keypoints_px))
    if len(rows) == 0:
        raise ValueError("refine got no people; skip the call for an empty shard")
    parts = [
        _refine_batch(model, take_rows(observations, part), take_rows(coarse, part), take_rows(camera, part), config)
        for part in rows.split(config.batch_size)
    ]
    return cat_rows(parts)


def _refine_batch(
    model: SparseBody, observations: Observations, coarse: Coarse, camera: Camera, config: RefineConfig
) -> RefineResult:
    """`refine` for at most `batch_size` people."""
    camera = camera.to(model.dtype)
    observed = observations.keypoints_px.to(model.dtype)
    precision = precision_of(observations.sigma_px.to(model.dtype), observed)
    bad_input, coarse = _check_rows(coarse, camera, model.dtype)
    empty = (precision > 0).sum(1) < config.min_points
    usable = ~bad_input & ~empty
    camera = Camera(
        focal_px=torch.where(bad_input, torch.ones_like(camera.focal_px), camera.focal_px),
        principal_px=torch.where(bad_input[:, None], torch.zeros_like(camera.principal_px), camera.principal_px),
    )
    observed = torch.where((precision > 0)[..., None], observed, torch.zeros_like(observed))
    precision = torch.where(usable[:, None], precision, torch.zeros_like(precision))

    start = _start_state(model, coarse, config)
    pose_sigma = _pose_sigma(coarse, config)
    start = initialise.place(model, start, observed, precision, camera)
    if coarse.transl_m is not None:
        given = torch.isfinite(coarse.transl_m).all(1) & coarse.body_valid
        start = replace(
            start,
            position=torch.where(
                given[:, None], pinhole.transl_to_position(coarse.transl_m.nan_to_num(1.0)), start.position
            ),
        )
    job = _Job(model=model, observed=observed, precision=precision, view=camera, coarse=coarse, config=config)
    lost = torch.nonzero(usable & ~coarse.body_valid).squeeze(1)
    if len(lost):
        start, pose_sigma = copy_rows(start), pose_sigma.clone()
        for part in lost.split(max(1, config.batch_size // config.num_yaws)):
            found, sigma = _search_neutral(job.take_rows(part), take_rows(start, part))
            put_rows(start, part, found)
            pose_sigma[part] = sigma

    wide = job.solve(start, start, pose_sigma, config.graduated_scale, config.graduated_iterations, usable)
    final = job.solve(wide.state, start, pose_sigma, config.robust_scale, config.iterations, usable)
    status = torch.where(bad_input, int(Status.NOT_FINITE), final.status)
    status = torch.where(empty & ~bad_input, int(Status.NO_DATA), status)
    return _summarise(job, start, final, pose_sigma, status, wide.iterations + final.iterations, observations)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """Everything that stays the same while people are refined."""

    model: SparseBody
    observed: Tensor
    precision: Tensor
    view: Camera
    coarse: Coarse
    config: RefineConfig

    def take_rows(self, index: Tensor) -> "_Job":
        return replace(
            self,
            observed=self.observed[index],
            precision=self.precision[index],
            view=take_rows(self.view, index),
            coarse=take_rows(self.coarse, index),
        )

    def repeat_rows(self, times: int) -> "_Job":
        return replace(
            self,
            observed=repeat_rows(self.observed, times),
            precision=repeat_rows(self.precision, times),
            view=repeat_rows(self.view, times),
            coarse=repeat_rows(self.coarse, times),
        )

    def problem(self, prior: State, pose_sigma: Tensor, robust_scale: float) -> BodyProblem:
        """The least-squares problem with beliefs around the state `prior`."""
        config, dtype = self.config, self.model.dtype
        jaw_sigma = torch.tensor(config.jaw_sigma_rad, dtype=dtype)
        return BodyProblem(
            self.model,
            [
                KeypointTerm(self.model, self.observed, self.precision, self.view, robust_scale),
                PoseNearnessTerm(prior.global_orient, prior.body_pose, pose_sigma),
                RotvecTerm(config.limit_sigma_rad, so3.log(prior.jaw_pose), jaw_sigma),
                GaussianTerm(self.model.layout, *_linear_beliefs(self, prior)),
            ],
        )

    def solve(
        self,
        start: State,
        prior: State,
        pose_sigma: Tensor,
        robust_scale: float,
        iterations: int,
        active: Tensor | None,
    ) -> Solution:
        settings = replace(self.config.solver, max_iterations=iterations)
        return solve(self.problem(prior, pose_sigma, robust_scale), start, settings, active)


def _check_rows(coarse: Coarse, camera: Camera, dtype: torch.dtype) -> tuple[Tensor, Coarse]:
    """Rows (B,) whose camera or valid parts hold NaN or inf, and the estimates with invalid parts made neutral."""
    neutral = Coarse.unknown(len(coarse.global_orient), dtype)
    bad = ~torch.isfinite(camera.focal_px) | (camera.focal_px <= 0) | ~torch.isfinite(camera.principal_px).all(1)
    parts = {
        "body_valid": ("global_orient", "body_pose", "betas"),
        "face_valid": ("flame_shape", "flame_expression", "jaw_pose", "eyelids", "eye_pose", "head_orient"),
        "hand_valid": ("hand_pose", "wrist_orient"),
    }
    clean: dict[str, Tensor] = {}
    for flag, names in parts.items():
        valid = getattr(coarse, flag)
        for name in names:
            value = getattr(coarse, name)
            if value is None:
                continue
            value = value.to(dtype)
            other = getattr(neutral, name)
            if other is None:
                other = torch.eye(3, dtype=dtype).expand_as(value)
            finite = torch.isfinite(value).flatten(valid.dim()).all(-1)
            broken = valid & ~finite
            bad = bad | (broken if broken.dim() == 1 else broken.any(1))
            keep = (valid & finite).view(*valid.shape, *[1] * (value.dim() - valid.dim()))
            clean[name] = torch.where(keep, value, _fit_width(other, value))
    for name in ("sigma_rad", "hand_sigma_rad"):
        value = getattr(coarse, name)
        if value is not None:
            value = value.to(dtype)
            clean[name] = torch.where(torch.isfinite(value) & (value > 0), value, torch.full_like(value, torch.nan))
    if coarse.transl_m is not None:
        clean["transl_m"] = coarse.transl_m.to(dtype)
    return bad, replace(coarse, **clean)


def _fit_width(neutral: Tensor, value: Tensor) -> Tensor:
    """Neutral values in the shape of `value`, for coefficient vectors of another length."""
    return neutral if neutral.shape == value.shape else torch.zeros_like(value)


def _columns(value: Tensor, count: int) -> Tensor:
    """The first `count` coefficients, padded with zeros."""
    out = value.new_zeros(len(value), count)
    have = min(count, value.shape[1])
    out[:, :have] = value[:, :have]
    return out


def _start_state(model: SparseBody, coarse: Coarse, config: RefineConfig) -> State:
    """The coarse estimates as a state at the origin; invalid hands relaxed, head and wrists from their estimators."""
    count = len(coarse.global_orient)
    hands = model.hand_coordinates(coarse.hand_pose)
    hands = torch.where(coarse.hand_valid[..., None], hands, model.relaxed_hand.expand_as(hands))
    betas, expression, shape = model.num_groups
    coefficients = torch.cat(
        [
            _columns(coarse.betas, betas),
            _columns(coarse.flame_expression, expression),
            _columns(coarse.flame_shape, shape),
        ],
        1,
    )
    state = State(
        global_orient=coarse.global_orient,
        body_pose=coarse.body_pose,
        jaw_pose=coarse.jaw_pose,
        hand_pca=hands,
        coefficients=coefficients,
        log_head_scale=coefficients.new_zeros(count, 3),
        position=coefficients.new_zeros(count, 3),
        eye_pose=coarse.eye_pose,
        eyelids=coarse.eyelids,
        contour_bin=torch.zeros(count, dtype=torch.int64),
    )
    if coarse.head_orient is not None:
        use = coarse.face_valid & coarse.body_valid
        state = initialise.with_head(model, state, coarse.head_orient, use, config.head_limit_deg * _DEG)
    if coarse.wrist_orient is not None:
        use = coarse.hand_valid & coarse.body_valid[:, None]
        gate, limit = config.wrist_gate_deg * _DEG, config.wrist_limit_deg * _DEG
        state = initialise.with_wrists(model, state, coarse.wrist_orient, use, gate, limit)
    return state


def _pose_sigma(coarse: Coarse, config: RefineConfig) -> Tensor:
    """Standard deviations (B, 22) of root and body joints about the estimate."""
    default = torch.tensor(config.pose_sigma_deg, dtype=coarse.global_orient.dtype) * _DEG
    default = default.expand(len(coarse.global_orient), -1)
    if coarse.sigma_rad is None:
        return default * config.pose_sigma_scale
    return torch.where(torch.isnan(coarse.sigma_rad), default, coarse.sigma_rad) * config.pose_sigma_scale


def _linear_beliefs(job: _Job, prior: State) -> tuple[Tensor, Tensor]:
    """Mean and precision (B, P) of everything that is not a body rotation."""
    model, config, coarse = job.model, job.config, job.coarse
    layout, count = model.layout, len(prior.position)
    mean, precision = linear_coordinates(prior, layout), prior.position.new_zeros(count, layout.size)
    depth = torch.exp(prior.position[:, 2])
    across = (depth / config.position_sigma_m).square()
    along = torch.full_like(depth, 1 / config.log_depth_sigma**2)
    precision[:, POSITION] = torch.stack([across, across, along], 1)
    sigmas = (config.beta_sigma, config.expression_sigma, config.flame_shape_sigma)
    per_column = torch.repeat_interleave(torch.tensor(sigmas, dtype=model.dtype), torch.tensor(model.num_groups))
    precision[:, layout.coefficients] = 1 / per_column.square()
    mean[:, layout.log_head_scale] = 0
    precision[:, layout.log_head_scale] = 1 / config.log_head_scale_sigma**2

    seen = torch.stack([(job.precision[:, part] > 0).sum(1) for part in (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)], 1)
    shown = seen >= config.min_hand_points
    blind = torch.where(shown, config.guessed_hand_sigma_deg, config.unseen_hand_sigma_deg) * _DEG
    stated = torch.full_like(blind, config.hand_sigma_deg * _DEG)
    if coarse.hand_sigma_rad is not None:
        stated = torch.where(torch.isnan(coarse.hand_sigma_rad), stated, coarse.hand_sigma_rad)
    sigma = torch.where(coarse.hand_valid, stated, blind).to(model.dtype)
    near = (1 / sigma.square())[..., None].expand_as(prior.hand_pca)
    usual = (1 / model.hand_spread.square()).expand_as(near)
    hand_mean, hand_precision = merge_beliefs([(prior.hand_pca, near), (torch.zeros_like(near), usual)])
    mean[:, layout.hands], precision[:, layout.hands] = hand_mean.flatten(1), hand_precision.flatten(1)
    return mean, precision


def _search_neutral(job: _Job, start: State) -> tuple[State, Tensor]:
    """The best of several neutral bodies for each person: its unrefined state, and its pose sigmas (B, 22)."""
    config, model = job.config, job.model
    count, yaws = len(start.position), config.num_yaws
    root, pose = initialise.neutral_body(yaws, model.dtype)
    tries, many = repeat_rows(start, yaws), job.repeat_rows(yaws)
    tries = replace(
        tries,
        global_orient=root.repeat(count, 1, 1),
        body_pose=pose.expand(count * yaws, -1, -1, -1),
    )
    tries = initialise.place(model, tries, many.observed, many.precision, many.view)
    sigma = (torch.tensor(config.neutral_sigma_deg, dtype=model.dtype) * _DEG).expand(count * yaws, -1)
    sigma = sigma * config.pose_sigma_scale
    wide = many.solve(tries, tries, sigma, config.graduated_scale, config.graduated_iterations, None)
    finalists = config.num_finalists
    ahead = wide.cost.nan_to_num(torch.inf).view(count, yaws).argsort(1)[:, :finalists]
    kept = (ahead + torch.arange(count)[:, None] * yaws).flatten()
    tries = take_rows(tries, kept)
    tight = many.take_rows(kept).solve(
        take_rows(wide.state, kept), tries, sigma[kept], config.robust_scale, config.search_iterations, None
    )
    best = tight.cost.nan_to_num(torch.inf).view(count, finalists).argmin(1) + torch.arange(count) * finalists
    return take_rows(tries, best), sigma[:count]


def _summarise(
    job: _Job,
    start: State,
    final: Solution,
    pose_sigma: Tensor,
    status: Tensor,
    iterations: Tensor,
    observations: Observations,
) -> RefineResult:
    """Result of the refined states; rows that were not refined keep their start and are valid in no part."""
    model, state = job.model, final.state
    forward: Forward = model.forward(state)
    keypoints_px = pinhole.project(forward.points_cam, job.view)
    boxes = observations.boxes_xyxy
    evidence = gather_evidence(
        keypoints_px=keypoints_px,
        observed_px=job.observed,
        precision=job.precision,
        inlier_sigma=job.config.inlier_sigma,
        boxes_xyxy=None if boxes is None else boxes.to(model.dtype),
        hand_estimated=job.coarse.hand_valid,
    )
    refined = (status != Status.NOT_FINITE) & (status != Status.NO_DATA)
    evidence = replace(evidence, part_valid=evidence.part_valid & refined[:, None])
    _, hessian = job.problem(start, pose_sigma, job.config.robust_scale).linearise(state, forward)
    spread = uncertainty(hessian, model.layout, pose_sigma)
    moved = torch.cat(
        [
            so3.angle_between(start.global_orient, state.global_orient)[:, None],
            so3.angle_between(start.body_pose, state.body_pose),
        ],
        1,
    ).mean(1)
    error = expected_error_mm(evidence.reproj_rel, evidence.inlier_ratio, moved, spread.joint_sigma_rad[:, 1:].mean(1))
    hands = so3.exp(forward.hand_rotvec)
    betas, expression, shape = state.coefficients.split(list(model.num_groups), 1)
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
        moved_rad=moved,
        iterations=iterations,
        status=status,
        quality=torch.where(refined, quality_score(error), torch.zeros_like(error)),
        cost=final.cost,
    )
