"""Part estimates of several views as one: each joint's mean, in which those that agree count for more.

Networks err alike in neighbouring views, so a mean of V estimates is not taken to be sqrt(V) times as good: its
variance is that of one times c + (1 - c) / V, c the correlation of their errors.

Legend: M moments, V views, K rotations of a part.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from fitting import so3
from fitting.inputs import Coarse
from fitting.priors import pose_sigma_rad
from fitting.rigs.inputs import Views
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig
from model.batches import take_rows
from model.body import skeleton

_DEG = math.pi / 180
_OUTLIER_SIGMA = 3.0
"""Angle between two views' estimates, in standard deviations of their difference, at which they half agree."""


def mean_estimate(
    coarse: Coarse, turn: Tensor, views: Views, use: Tensor, config: RefineConfig, rig_config: RigConfig
) -> Coarse:
    """One estimate a moment of those of its views, in the frame that `turn` leads to.

    Args:
        coarse: of R rows, checked.
        turn: (M, V, 3, 3) from each view's camera to the frame of the result.
        views: M moments of R rows.
        use: (M, V) views that count.
        config: sigmas of estimates that state none.
        rig_config: correlation of their errors.
    """
    own = take_rows(coarse, views.row.flatten())

    def of_views(value: Tensor) -> Tensor:
        return value.unflatten(0, views.row.shape)

    def valid(flag: Tensor) -> Tensor:
        return of_views(flag) & use.view(*use.shape, *[1] * (flag.dim() - 1))

    def mean(rotation: Tensor, counts: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return _mean_rotation(rotation, counts, sigma, rig_config.estimate_correlation)

    body, hand, face = valid(own.body_valid), valid(own.hand_valid), valid(own.face_valid)
    turned = turn @ of_views(own.global_orient)
    pose = torch.cat([turned[:, :, None], of_views(own.body_pose)], 2)
    pose_sigma = of_views(pose_sigma_rad(own, config)) / config.pose_sigma_scale
    pose, pose_sigma = mean(pose, body[..., None].expand(-1, -1, skeleton.NUM_MAIN_JOINTS), pose_sigma)

    hand_sigma = torch.full_like(pose_sigma[:, None, :1], config.hand_sigma_deg * _DEG).expand(*use.shape, 2)
    if own.hand_sigma_rad is not None:
        stated = of_views(own.hand_sigma_rad)
        hand_sigma = torch.where(stated.isnan(), hand_sigma, stated)
    hands = (hand, hand_sigma)
    flags = (value[..., None].expand(-1, -1, -1, skeleton.NUM_HAND_JOINTS).flatten(2) for value in hands)
    hand_pose, finger_sigma = mean(of_views(own.hand_pose).flatten(2, 3), *flags)
    fused = {
        "global_orient": pose[:, 0],
        "body_pose": pose[:, 1:],
        "sigma_rad": pose_sigma,
        "hand_pose": hand_pose.unflatten(1, (2, -1)),
        "hand_sigma_rad": finger_sigma.unflatten(1, (2, -1)).mean(2),
        "body_valid": body.any(1),
        "hand_valid": hand.any(1),
        "face_valid": face.any(1),
        "transl_m": None,
    }
    rotations = torch.cat([own.jaw_pose[:, None], own.eye_pose], 1)
    one = torch.ones_like(pose_sigma[:, None, :3]).expand(*use.shape, 3)
    rotations = mean(of_views(rotations), face[..., None].expand(-1, -1, 3), one)[0]
    fused |= {"jaw_pose": rotations[:, 0], "eye_pose": rotations[:, 1:]}
    for name, counts in (("betas", body), *((name, face) for name in ("flame_shape", "flame_expression", "eyelids"))):
        fused[name] = _mean(of_views(getattr(own, name)), counts)
    if own.head_orient is not None:
        counts = (face & body)[..., None]
        sigma = torch.full_like(one[..., :1], config.head_orient_sigma_deg * _DEG)
        if own.head_sigma_rad is not None:
            stated = of_views(own.head_sigma_rad)[..., None]
            sigma = torch.where(stated.isnan(), sigma, stated)
        head, sigma = mean((turn @ of_views(own.head_orient))[:, :, None], counts, sigma)
        fused |= {"head_orient": head[:, 0], "head_sigma_rad": sigma[:, 0]}
    if own.wrist_orient is not None:
        fused["wrist_orient"] = mean(
            turn[:, :, None] @ of_views(own.wrist_orient), hand & body[..., None], one[..., :2]
        )[0]
    if own.hand_score is not None:
        score = of_views(own.hand_score)
        fused["hand_score"] = torch.where(hand & ~score.isnan(), score, -torch.inf).amax(1)
        fused["hand_score"] = torch.where(fused["hand_score"].isinf(), torch.nan, fused["hand_score"])
    return replace(take_rows(coarse, views.row[:, 0]), **fused)


def turned(coarse: Coarse, turn: Tensor) -> Coarse:
    """Estimates (B) in the frame that the rotations (B, 3, 3) lead to."""
    changes = {"global_orient": turn @ coarse.global_orient}
    if coarse.head_orient is not None:
        changes["head_orient"] = turn @ coarse.head_orient
    if coarse.wrist_orient is not None:
        changes["wrist_orient"] = turn[:, None] @ coarse.wrist_orient
    return replace(coarse, **changes)


def _mean(value: Tensor, counts: Tensor) -> Tensor:
    """Mean (M, n) of values (M, V, n) over the views that count (M, V); of all where none does."""
    counts = torch.where(counts.any(1, keepdim=True), counts, torch.ones_like(counts)).to(value.dtype)
    return (value * counts[..., None]).sum(1) / counts.sum(1)[:, None]


def _mean_rotation(rotation: Tensor, counts: Tensor, sigma: Tensor, correlation: float) -> tuple[Tensor, Tensor]:
    """Means (M, K, 3, 3) of rotations (M, V, K, 3, 3), and their standard deviations an axis (M, K).

    Args:
        rotation: of each view; those that count nowhere give the first.
        counts: (M, V, K) bool.
        sigma: (M, V, K) standard deviation of an axis.
        correlation: of the errors of two views.
    """
    weight = torch.where(counts.any(1, keepdim=True), counts, torch.ones_like(counts)).to(rotation.dtype)
    flat = rotation.flatten(-2).transpose(1, 2)
    # Squared angles, of small ones: the trace of a rotation by t is 1 + 2 cos t.
    between = (3 - flat @ flat.transpose(-1, -2)).permute(0, 2, 3, 1)
    apart = (sigma.square()[:, :, None] + sigma.square()[:, None]) * (3 * _OUTLIER_SIGMA**2)
    agreement = (weight[:, None] / (1 + between / apart)).sum(2)
    weight = weight * (agreement / sigma).square()
    base = weight.argmax(1, keepdim=True)
    base = rotation.gather(1, base[..., None, None].expand(-1, -1, -1, 3, 3))
    share = weight / weight.sum(1, keepdim=True)
    step = (so3.log(base.transpose(-1, -2) @ rotation) * share[..., None]).sum(1)
    number = 1 / share.square().sum(1)
    variance = (share * sigma.square()).sum(1) * (correlation + (1 - correlation) / number)
    return base[:, 0] @ so3.exp(step), variance.sqrt()
