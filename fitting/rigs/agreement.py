"""Which rows of a rig are fitted together, and in words why the others are not."""

import math

import torch
from torch import Tensor

from fitting import so3
from fitting.inputs import Coarse
from fitting.priors import pose_sigma_rad
from fitting.problem import Problem
from fitting.rigs.consensus import Consensus, consensus
from fitting.rigs.inputs import Rig, Views
from fitting.rigs.joint import sightings_of
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig

_MAX_ROOT_APART, _MAX_JOINTS_APART = 2.0, 1.2
"""Turns between two views' estimates of the root, and of half of the root and body joints, in root mean squares of the
errors stated: 1.4 and 1.1 of one person in 98 %, 1.3 and more of the joints of two people in different poses."""


def agreeing_views(ready: Problem, rig: Rig, views: Views, config: RigConfig) -> tuple[Tensor, tuple[str | None, ...]]:
    """Views (M, V) that are fitted together, and for each row why it is not, None where there is nothing to say."""
    people, sound = ready.people, rig.has_rotation
    if views.present.shape[1] < 2:
        return torch.zeros_like(views.present), (None,) * len(rig.moment)
    time = torch.where(people.usable & sound, rig.time_s.double(), torch.nan)[views.row]
    time = torch.where(views.present, time, torch.nan)
    late = (time - time.nanmedian(1, keepdim=True).values).abs()
    able = views.present & (late <= config.max_time_offset_s)
    several = views.present.sum(1) > 1
    sightings = sightings_of(people, rig, views, able, able.int().argmax(1))
    said = consensus(ready.model, sightings, able, config)
    # Points alone prove little where no third view confirms them.
    pairs = torch.nonzero(said.agrees.sum(1) == 2).squeeze(1)
    rows = views.row[pairs][said.agrees[pairs]].view(-1, 2)
    is_doubted = torch.zeros_like(several).index_put(
        (pairs,), estimates_differ(people.coarse, rig, rows, ready.config) > 1
    )
    use = said.agrees & ~is_doubted[:, None]
    reasons: list[str | None] = [None] * len(rig.moment)
    for moment, view in torch.nonzero(views.present & ~use & several[:, None]).tolist():
        row = int(views.row[moment, view])
        if not people.usable[row]:
            reasons[row] = "too few keypoints, or a camera or an estimate that is not finite"
        elif not sound[row]:
            reasons[row] = about_rotation(rig.rotation[row])
        elif not able[moment, view]:
            reasons[row] = (
                f"taken {1e3 * float(late[moment, view]):.0f} ms from the other views of its moment, "
                f"allowed {1e3 * config.max_time_offset_s:.0f} ms"
            )
        elif bool(is_doubted[moment]) and bool(said.agrees[moment, view]):
            reasons[row] = "only two views agree where the body is, and their estimates of its pose are of two people"
        else:
            reasons[row] = about_views(said, able, moment, view, config)
    return use, tuple(reasons)


def estimates_differ(coarse: Coarse, rig: Rig, pairs: Tensor, config: RefineConfig) -> Tensor:
    """How far the body estimates of two rows each (T, 2) differ, in limits (T,); 0 where one is not valid."""
    turn = rig.rotation[pairs].to(coarse.global_orient).transpose(-1, -2)
    sigma = pose_sigma_rad(coarse, config)[pairs] / config.pose_sigma_scale
    pose = torch.cat([(turn @ coarse.global_orient[pairs])[:, :, None], coarse.body_pose[pairs]], 2)
    apart = so3.angle_between(pose[:, 0], pose[:, 1]) / (3 * sigma.square().sum(1)).sqrt()
    worst = torch.maximum(apart[:, 0] / _MAX_ROOT_APART, apart.median(1).values / _MAX_JOINTS_APART)
    return torch.where(coarse.body_valid[pairs].all(1), worst, 0.0)


def about_rotation(rotation: Tensor) -> str:
    """Why extrinsics are none."""
    if bool(torch.isfinite(rotation).all()) and float(torch.linalg.det(rotation.double())) < 0:
        return "its rotation is a mirror (determinant below 0): an axis of the camera or of the world is flipped"
    return "its extrinsics are not finite, or no rotation: divide the scale out of them"


def about_views(said: Consensus, able: Tensor, moment: int, view: int, config: RigConfig) -> str:
    """Why a view that could be compared with others is not fitted with them."""
    if int(able[moment].sum()) < 2:
        return "no other view of its moment can be used"
    off, factor = float(said.off[moment, view]), float(said.limb_factor[moment])
    parallax = math.degrees(float(said.parallax_rad[moment]))
    if bool(said.agrees[moment].any()):
        if math.isnan(off):
            return f"has fewer than {config.min_common_points} body points in common with the views that agree"
        return (
            f"sees the body {off:.1f} times the limit from where the other views do: somebody else, or a wrong camera"
        )
    if parallax < config.min_parallax_deg:
        return (
            f"the views see the person along one line to within {parallax:.1f} degrees, needed "
            f"{config.min_parallax_deg:.0f}: they say nothing of depth to each other"
        )
    if not bool(said.found[moment]):
        return (
            "no two views agree where the body is: they show different people, or the extrinsics are not from world "
            "to camera (x right, y down, z forward)"
        )
    if not math.isnan(factor):
        return f"the views make limbs {factor:.3g} times as long as people's: extrinsics are in metres"
    return "the views that agree show no limb, which would tell whether the extrinsics are in metres"
