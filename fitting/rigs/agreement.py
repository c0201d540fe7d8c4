"""Which rows of a rig are fitted together, and in words why the others are not."""

import math
from dataclasses import replace

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
from fitting.sightings import Sightings
from model.batches import take_rows
from model.body import skeleton
from model.imaging.camera import NEAR_M

_MAX_ROOT_APART, _MAX_JOINTS_APART = 2.0, 1.2
"""Turns between two views' estimates of the root, and of half of the root and body joints, in root mean squares of the
errors stated: 1.4 and 1.1 of one person in 98 %, 1.3 and more of the joints of two people in different poses."""

_TORSO_AND_LIMBS = slice(5, skeleton.FEET.stop)
"""Keypoints from the shoulders down."""
_ARM_M = 1.0
"""No point is further from the middle of a body in depth: what is, is no point."""


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
    is_reversed = depth_is_reversed(ready, sightings, views, said.agrees)
    use = said.agrees & ~(is_doubted | is_reversed)[:, None]
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
            reasons[row] = (
                "only two views agree where the body is, and their estimates of its pose are of two people: they show "
                "different people, or the extrinsics are not theirs"
            )
        elif bool(is_reversed[moment]) and bool(said.agrees[moment, view]):
            reasons[row] = (
                "the views that agree put near what the estimates of the body's pose put far: the extrinsics are "
                "mirrored, from camera to world or of other cameras"
            )
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


def depth_is_reversed(ready: Problem, sightings: Sightings, views: Views, use: Tensor) -> Tensor:
    """Whether the views (M, V) of a moment put those of its points far that the estimates of its pose put near (M,).

    Rigs that are not what they are said to be may agree all the same, on a person who is mirrored in depth.
    """
    counts = use & ready.people.coarse.body_valid[views.row]
    moment, view = torch.nonzero(use).unbind(1)
    believed = torch.zeros_like(sightings.precision[..., _TORSO_AND_LIMBS])
    for part in torch.arange(len(moment), device=moment.device).split(ready.config.batch_size):
        at = moment[part], view[part]
        start = take_rows(ready.people.start, views.row[at])
        believed[at] = ready.model.forward(start).points[:, _TORSO_AND_LIMBS, 2]
    sightings = replace(sightings, precision=sightings.precision * use[..., None])
    depth = sightings.in_cameras(sightings.triangulated())[2][..., _TORSO_AND_LIMBS]
    known = (sightings.precision[..., _TORSO_AND_LIMBS] > 0) & (depth > NEAR_M) & counts[..., None]

    def from_middle(value: Tensor) -> Tensor:
        value = torch.where(known, value, torch.nan)
        return (value - value.nanmedian(-1, keepdim=True).values).clamp(-_ARM_M, _ARM_M).nan_to_num(0.0)

    return (from_middle(depth) * from_middle(believed)).sum((1, 2)) < 0


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
