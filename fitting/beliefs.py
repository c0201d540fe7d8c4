"""What is believed about a person before the keypoints speak: how far each unknown may lie from the coarse estimate."""

import math

import torch
from torch import Tensor

from fitting.inputs import Coarse, Observations
from fitting.parameters import POSITION, State
from fitting.priors import linear_coordinates, merge_beliefs
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.body import skeleton

_DEG = math.pi / 180
_MIN_SURFACE_SIGMA_M = 1e-4


def pose_sigma_rad(coarse: Coarse, config: RefineConfig) -> Tensor:
    """Standard deviations (B, 22) of root and body joints about the estimate: as stated, else as the settings say."""
    orient = coarse.global_orient
    default = torch.tensor(config.pose_sigma_deg, dtype=orient.dtype, device=orient.device) * _DEG
    default = default.expand(len(coarse.global_orient), -1)
    if coarse.sigma_rad is None:
        return default * config.pose_sigma_scale
    return torch.where(torch.isnan(coarse.sigma_rad), default, coarse.sigma_rad) * config.pose_sigma_scale


def surface_belief(observations: Observations, config: RefineConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, 6) of the surface offsets in metres: as stated, else as the settings say."""

    def chosen(stated: Tensor | None, default: tuple[float, ...]) -> Tensor:
        count, device = len(observations.keypoints_px), observations.keypoints_px.device
        usual = torch.tensor(default, dtype=dtype, device=device).expand(count, -1)
        return usual if stated is None else torch.where(torch.isfinite(stated), stated.to(dtype), usual)

    sigma = chosen(observations.surface_sigma_m, config.surface_sigma_m)
    return chosen(observations.surface_offset_m, config.surface_offset_m), sigma.clamp(min=_MIN_SURFACE_SIGMA_M)


def linear_beliefs(
    model: SparseBody,
    coarse: Coarse,
    keypoint_precision: Tensor,
    surface_sigma_m: Tensor,
    prior: State,
    config: RefineConfig,
) -> tuple[Tensor, Tensor]:
    """Mean and precision (B, P) of everything that is not a rotation of root, body or jaw; zero precision there.

    Args:
        model: the body.
        coarse: part estimates, checked.
        keypoint_precision: (B, 133) one over sigma in px, 0 where not seen; tells which hands the keypoints show.
        surface_sigma_m: (B, 6) of the places of the hip and shoulder keypoints.
        prior: the state the beliefs are about.
        config: the sigmas.
    """
    layout, count = model.layout, len(prior.position)
    mean, precision = linear_coordinates(prior, layout), prior.position.new_zeros(count, layout.size)
    depth = torch.exp(prior.position[:, 2])
    across = (depth / config.position_sigma_m).square()
    along = torch.full_like(depth, 1 / config.log_depth_sigma**2)
    precision[:, POSITION] = torch.stack([across, across, along], 1)
    sigmas = (config.beta_sigma, config.expression_sigma, config.flame_shape_sigma)
    columns = [sigma for sigma, count in zip(sigmas, model.num_groups, strict=False) for _ in range(count)]
    per_column = torch.tensor(columns, dtype=model.dtype, device=depth.device).expand(count, -1)
    precision[:, layout.coefficients] = torch.cat([per_column, surface_sigma_m], 1).square().reciprocal()
    mean[:, layout.log_head_scale] = 0
    precision[:, layout.log_head_scale] = 1 / config.log_head_scale_sigma**2

    hand_mean, hand_precision = hand_belief(model, coarse, keypoint_precision, prior, config)
    stepped = slice(0, layout.num_hand)
    mean[:, layout.hands] = hand_mean[:, :, stepped].flatten(1)
    precision[:, layout.hands] = hand_precision[:, :, stepped].flatten(1)
    return mean, precision


def hand_belief(
    model: SparseBody, coarse: Coarse, keypoint_precision: Tensor, prior: State, config: RefineConfig
) -> tuple[Tensor, Tensor]:
    """Mean and precision (B, 2, 45) of the hands' coordinates: near their estimate, and near the hands people have."""
    hands = (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)
    seen = torch.stack([(keypoint_precision[:, hand] > 0).sum(1) for hand in hands], 1)
    shown = seen >= config.min_hand_points
    blind = torch.where(shown, config.guessed_hand_sigma_deg, config.unseen_hand_sigma_deg) * _DEG
    stated = torch.full_like(blind, config.hand_sigma_deg * _DEG)
    if coarse.hand_sigma_rad is not None:
        stated = torch.where(torch.isnan(coarse.hand_sigma_rad), stated, coarse.hand_sigma_rad)
    sigma = torch.where(coarse.hand_valid, stated, blind).to(model.dtype)
    near = (1 / sigma.square())[..., None].expand_as(prior.hand_pca)
    usual = (1 / model.hand_spread.square()).expand_as(near)
    return merge_beliefs([(prior.hand_pca, near), (torch.zeros_like(near), usual)])
