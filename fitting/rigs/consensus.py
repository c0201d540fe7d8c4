"""Which views of a moment show one person where their cameras are said to be: asked before any body is fitted.

Every two views that see a person from different sides triangulate the body's points. The pair with which most views
agree decides; views that do not agree show somebody else, or their cameras are not where they are said to be. That the
points are a person's, in metres, is told by the lengths of limbs.

Legend: M moments, V views, K pairs of views, N 23 points of body and feet.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.folding import fold_lines, solved
from fitting.products import length
from fitting.rigs.settings import RigConfig
from fitting.sightings import Sightings
from fitting.sparse_body import SparseBody
from model.batches import cat_rows, take_rows
from model.body import skeleton
from model.imaging.camera import NEAR_M

POINTS = slice(skeleton.BODY.start, skeleton.FEET.stop)
_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16), (5, 6), (11, 12))
"""Pairs of keypoints: arms, legs, shoulders, hips."""
_MIN_LIMBS = 3
_CLEAR_RAD = 0.2
"""Angle between two views from which on the lengths of limbs are as clear as they get."""
_MOST_AT_ONCE = 32
_FAR = 1e6
"""In limits: a point that is not where a camera can see it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consensus:
    """What the views of M moments say about each other."""

    agrees: Tensor
    """(M, V) bool: views that are fitted together; none or at least two of a moment."""
    parallax_rad: Tensor
    """(M,) largest angle between the lines along which two views see the person, 0..pi/2."""
    off: Tensor
    """(M, V) median distance of a view from the best pair's points, in limits; NaN where too few points are shared."""
    found: Tensor
    """(M,) bool: some two views agree."""
    limb_factor: Tensor
    """(M,) length of limbs in multiples of people's, by all pairs of views that agree; NaN where none is seen."""


def consensus(body: SparseBody, sightings: Sightings, present: Tensor, config: RigConfig) -> Consensus:
    """Compares the views of M moments; those not present (M, V) take no part."""
    parts = torch.arange(len(present), device=present.device).split(_MOST_AT_ONCE)
    return cat_rows([_consensus(body, take_rows(sightings, part), present[part], config) for part in parts])


def _consensus(body: SparseBody, sightings: Sightings, present: Tensor, config: RigConfig) -> Consensus:
    precision = sightings.precision[..., POINTS] * present[..., None]
    seen = precision > 0
    places = sightings.keypoints_px[:, :, POINTS]
    rays = sightings.rays[:, :, POINTS]
    angle = _angles(rays, seen, sightings.rotation)
    pairs = torch.tensor(list(itertools.combinations(range(present.shape[1]), 2)), device=present.device).view(-1, 2)
    first, second = pairs.unbind(1)
    parallax = angle[:, first, second]
    parallax = torch.minimum(parallax, math.pi - parallax)
    points, both = _triangulated(sightings, rays, precision, pairs)
    off = _distances(sightings, places, precision, points, config)
    common = both[:, :, None] & seen[:, None]
    off = torch.where(common, off, torch.nan)
    enough = common.sum(-1) >= config.min_common_points
    off = torch.where(enough, off.nanmedian(-1).values, torch.nan)
    agrees = off <= 1
    limbs, spread = _limbs(body, points, both)
    # Along nearly one line, depth and with it the limbs are as uncertain as the angle is small.
    allowed = config.max_limb_spread * (_CLEAR_RAD / parallax).clamp(min=1)
    sound = (parallax >= math.radians(config.min_parallax_deg)) & ~(spread > allowed)
    own = agrees.gather(2, pairs.expand(len(agrees), -1, -1)).all(2)
    score = agrees.sum(2) - torch.where(agrees, off, 0.0).mean(2)
    score = torch.where(own & sound, score, -1.0)
    best = score.argmax(1)
    at = torch.arange(len(best), device=best.device), best
    found, chosen = score[at] > 0, agrees[at]
    of_chosen = (chosen[:, first] & chosen[:, second])[..., None]
    factor = torch.where(of_chosen, limbs, torch.nan).flatten(1).nanmedian(1).values.exp()
    in_metres = factor.log().abs() <= math.log(config.max_limb_factor)
    return Consensus(
        agrees=chosen & (found & in_metres)[:, None],
        found=found,
        parallax_rad=parallax.nan_to_num(0.0).amax(1),
        off=off[at],
        limb_factor=factor,
    )


def _angles(rays: Tensor, seen: Tensor, rotation: Tensor) -> Tensor:
    """Angles (M, V, V) between the directions in which views (M, V, N, 2) see a person; NaN where one sees nothing."""
    share = seen[..., None] / seen.sum(-1)[..., None, None]
    middle = torch.nn.functional.pad((rays * share).sum(2), (0, 1), value=1.0)
    direction = (rotation.transpose(-1, -2) * middle[..., None, :]).sum(-1)
    direction = direction / length(direction)[..., None]
    return torch.acos((direction[:, :, None] * direction[:, None]).sum(-1).clamp(-1.0, 1.0))


def _triangulated(sightings: Sightings, rays: Tensor, precision: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Points (M, K, N, 3) from each pair of views, and which both of them see (M, K, N)."""
    gain = (sightings.focal_px[..., None] * precision)[:, pairs]
    shift = sightings.shift_m[:, pairs, :, None].expand(*gain.shape[:3], 3, gain.shape[3])
    x, y, z = shift.unbind(3)
    folded = fold_lines(sightings.rotation[:, pairs], rays[:, pairs], gain, (x, y, z))
    return solved(folded), (gain > 0).all(2)


def _distances(sightings: Sightings, places: Tensor, precision: Tensor, points: Tensor, config: RigConfig) -> Tensor:
    """How far each view sees points of each pair from where they are, in limits (M, K, V, N)."""
    turn, shift = sightings.rotation[:, None, :, None], sightings.shift_m[:, None, :, None]
    x, y, z = ((turn * points[:, :, None, :, None]).sum(-1) + shift).unbind(-1)
    focal = sightings.focal_px[:, None, :, None]
    rays = torch.stack([x / z, y / z], -1)
    shown = rays * focal[..., None] + sightings.principal_px[:, None, :, None]
    calibration = (
        2
        * focal
        * torch.hypot(torch.full_like(z, config.rotation_sigma_rad), config.position_sigma_m / z.clamp(min=NEAR_M))
    )
    limit = torch.hypot(config.consensus_sigma / precision[:, None], calibration)
    off = length(shown - places[:, None]) / limit
    return torch.where(torch.isfinite(off) & (z > NEAR_M), off, _FAR)


def _limbs(body: SparseBody, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Length of the limbs of points (M, K, N, 3) in multiples of people's, as logarithms (M, K, L), NaN where not seen;
    and by how much they differ in it (M, K), NaN where fewer than three are seen."""
    start, stop = torch.tensor(_LIMBS, device=points.device).unbind(1)
    joints = torch.tensor([[skeleton.KEYPOINT_JOINT[point] for point in limb] for limb in _LIMBS], device=points.device)
    usual = length(body.joints.rest[joints[:, 0]] - body.joints.rest[joints[:, 1]])
    ratio = (length(points[:, :, start] - points[:, :, stop]) / usual).log()
    ratio = torch.where(seen[:, :, start] & seen[:, :, stop], ratio, torch.nan)
    spread = (ratio - ratio.nanmedian(-1, keepdim=True).values).abs().nanmedian(-1).values
    return ratio, torch.where((~ratio.isnan()).sum(-1) >= _MIN_LIMBS, spread, torch.nan)
