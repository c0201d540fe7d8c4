"""Priors: what is known about a person before the keypoints, from the part estimates and the settings.

`fitting.prior_terms` makes residuals of them.

Legend: B people, P unknowns.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting import so3
from fitting.inputs import Coarse, Observations
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, JAW, POSITION, ROOT, Layout, State, linear_coordinates
from model.body import skeleton
from model.body.skeleton import HEAD, WRISTS

_DEG = math.pi / 180
_MIN_SURFACE_SIGMA_M = 1e-4
ORIENTED_JOINTS = (HEAD, *WRISTS)
"""Joints whose orientation in the camera frame face and hand estimators see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaussian:
    """Independent Gaussians about some unknowns."""

    mean: Tensor
    """(B, ...)."""
    precision: Tensor
    """(B, ...) one over the variances; 0 where nothing is known."""


def merge_gaussians(parts: list[Gaussian]) -> Gaussian:
    """Several Gaussians about the same unknowns as one: their product, up to a constant factor."""
    precision = torch.stack([part.precision for part in parts]).sum(0)
    weighted = torch.stack([part.mean * part.precision for part in parts]).sum(0)
    return Gaussian(mean=weighted / precision.clamp(min=1e-12), precision=precision)


def pose_sigma_rad(coarse: Coarse, config: RefineConfig) -> Tensor:
    """Standard deviations (B, 22) of root and body joints about the estimate: as stated, else as the settings say."""
    orient = coarse.global_orient
    default = torch.tensor(config.pose_sigma_deg, dtype=orient.dtype, device=orient.device) * _DEG
    default = default.expand(len(coarse.global_orient), -1)
    if coarse.sigma_rad is None:
        return default * config.pose_sigma_scale
    return torch.where(torch.isnan(coarse.sigma_rad), default, coarse.sigma_rad) * config.pose_sigma_scale


def surface_prior(observations: Observations, config: RefineConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, 6) of the surface offsets in metres: as stated, else as the settings say."""

    def chosen(stated: Tensor | None, default: tuple[float, ...]) -> Tensor:
        count, device = len(observations.keypoints_px), observations.keypoints_px.device
        usual = torch.tensor(default, dtype=dtype, device=device).expand(count, -1)
        return usual if stated is None else torch.where(torch.isfinite(stated), stated.to(dtype), usual)

    sigma = chosen(observations.surface_sigma_m, config.surface_sigma_m)
    return chosen(observations.surface_offset_m, config.surface_offset_m), sigma.clamp(min=_MIN_SURFACE_SIGMA_M)


def linear_prior(
    model: SparseBody,
    coarse: Coarse,
    keypoint_precision: Tensor,
    surface_sigma_m: Tensor,
    centre: State,
    config: RefineConfig,
) -> Gaussian:
    """About all unknowns (B, P) that are not a rotation of root, body or jaw; zero precision there.

    Args:
        model: the body.
        coarse: part estimates, checked.
        keypoint_precision: (B, 133) one over sigma in px, 0 where not seen; tells which hands the keypoints show.
        surface_sigma_m: (B, 6) of the places of the hip and shoulder keypoints.
        centre: the state that the prior is about.
        config: the sigmas.
    """
    layout, count = model.layout, len(centre.position)
    mean, precision = linear_coordinates(centre, layout), centre.position.new_zeros(count, layout.size)
    depth = torch.exp(centre.position[:, 2])
    across = (depth / config.position_sigma_m).square()
    along = torch.full_like(depth, 1 / config.log_depth_sigma**2)
    precision[:, POSITION] = torch.stack([across, across, along], 1)
    sigmas = (config.beta_sigma, config.expression_sigma, config.flame_shape_sigma)
    columns = [sigma for sigma, count in zip(sigmas, model.num_groups, strict=False) for _ in range(count)]
    per_column = torch.tensor(columns, dtype=model.dtype, device=depth.device).expand(count, -1)
    precision[:, layout.coefficients] = torch.cat([per_column, surface_sigma_m], 1).square().reciprocal()
    mean[:, layout.log_head_scale] = 0
    precision[:, layout.log_head_scale] = 1 / config.log_head_scale_sigma**2
    precision[:, layout.eyelids] = 1 / config.eyelid_sigma**2

    hands, stepped = hand_prior(model, coarse, keypoint_precision, centre, config), slice(0, layout.num_hand)
    mean[:, layout.hands] = hands.mean[:, :, stepped].flatten(1)
    precision[:, layout.hands] = hands.precision[:, :, stepped].flatten(1)
    return Gaussian(mean=mean, precision=precision)


def hand_prior(
    model: SparseBody, coarse: Coarse, keypoint_precision: Tensor, centre: State, config: RefineConfig
) -> Gaussian:
    """About the hands' coordinates (B, 2, 45): near their estimate, and near the hands that people have."""
    seen = torch.stack([(keypoint_precision[:, hand] > 0).sum(1) for hand in skeleton.HANDS], 1)
    shown = seen >= config.min_hand_points
    blind = torch.where(shown, config.guessed_hand_sigma_deg, config.unseen_hand_sigma_deg) * _DEG
    stated = torch.full_like(blind, config.hand_sigma_deg * _DEG)
    if coarse.hand_sigma_rad is not None:
        stated = torch.where(torch.isnan(coarse.hand_sigma_rad), stated, coarse.hand_sigma_rad)
    sigma = torch.where(coarse.hand_valid, stated, blind).to(model.dtype)
    near = (1 / sigma.square())[..., None].expand_as(centre.hand_pca)
    usual = (1 / model.hand_spread.square()).expand_as(near)
    return merge_gaussians(
        [Gaussian(mean=centre.hand_pca, precision=near), Gaussian(mean=torch.zeros_like(near), precision=usual)]
    )


def orientation_prior(model: SparseBody, coarse: Coarse, config: RefineConfig) -> tuple[Tensor, Tensor]:
    """Orientations in the camera frame that face and hand estimators saw, head, left and right wrist: (B, 3, 3, 3);
    and one over their sigmas (B, 3) in 1/rad, 0 for those that do not count."""
    count = len(coarse.global_orient)
    eye = torch.eye(3, dtype=model.dtype, device=model.device).expand(count, 3, 3)
    orient, precision = [eye, eye, eye], torch.zeros(count, 3, dtype=model.dtype, device=model.device)
    if coarse.head_orient is not None:
        sigma = torch.full_like(precision[:, 0], config.head_orient_sigma_deg * _DEG)
        if coarse.head_sigma_rad is not None:
            sigma = torch.where(torch.isnan(coarse.head_sigma_rad), sigma, coarse.head_sigma_rad)
        orient[0] = coarse.head_orient
        precision[:, 0] = (coarse.face_valid & coarse.body_valid) / sigma
    if coarse.wrist_orient is not None:
        use = wrists_count(coarse, config)
        chain = torch.cat([coarse.global_orient[:, None], coarse.body_pose], 1)
        for side in range(2):
            body = _orient_of(chain, WRISTS[side])
            gate = so3.angle_between(body, coarse.wrist_orient[:, side]) < config.wrist_gate_deg * _DEG
            orient[1 + side] = coarse.wrist_orient[:, side]
            precision[:, 1 + side] = (use[:, side] & gate) / (config.wrist_orient_sigma_deg * _DEG)
    return torch.stack(orient, 1), precision


def wrists_count(coarse: Coarse, config: RefineConfig) -> Tensor:
    """Wrists (B, 2) whose hand estimate is valid, on a valid body, and scores high enough to count."""
    use = coarse.hand_valid & coarse.body_valid[:, None]
    return use if coarse.hand_score is None else use & ~(coarse.hand_score < config.wrist_min_score)


def _orient_of(chain: Tensor, joint: int) -> Tensor:
    """Orientation (B, 3, 3) of a joint in the camera frame from local rotations (B, 22, 3, 3)."""
    parent = skeleton.SMPLX_PARENTS[joint]
    return chain[:, joint] if parent < 0 else _orient_of(chain, parent) @ chain[:, joint]


def prior_precision(layout: Layout, pose_sigma_rad: Tensor, jaw_sigma_rad: tuple[float, ...], linear: Tensor) -> Tensor:
    """One over the variances (B, P) of all unknowns before the keypoints.

    Args:
        layout: places of the unknowns.
        pose_sigma_rad: (B, 22) of root and body joints.
        jaw_sigma_rad: (3,) of the jaw.
        linear: (B, P) precision of everything that is not a rotation of root, body or jaw.
    """
    precision = linear.clone()
    joints = (1 / pose_sigma_rad.square())[..., None].expand(-1, -1, 3)
    precision[:, ROOT], precision[:, BODY] = joints[:, 0], joints[:, 1:].flatten(1)
    precision[:, JAW] = 1 / linear.new_tensor(jaw_sigma_rad).square()
    return precision
