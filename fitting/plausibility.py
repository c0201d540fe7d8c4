"""What a fit has to be beside near its keypoints: a person's own, and such as people are.

A model that can bend and grow comes near to points that are nobody's: it closes a hand over points that lie on one
pixel, reaches over with the left arm for the points of the right hand, blows a head up to a face twice too large, and
lies down between its own arms and somebody else's feet.
What tells these from people is held to limits here, beside those of `fitting.reprojection`. They were chosen on
synthetic people, so that no good part is lost (`python -m benchmarks.validity`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode
from fitting.forward import Forward
from fitting.limits import Limit, least, most
from fitting.products import length
from fitting.reprojection import PART_POINTS, Reprojection
from fitting.unknowns import State
from model.body import skeleton
from model.body.skeleton import COLLARS, ELBOWS, PELVIS, SHOULDERS, WRISTS
from model.imaging.camera import Camera

_ARM_POINTS = tuple(
    tuple(skeleton.KEYPOINT_NAMES.index(f"{side}_{name}") for name in ("wrist", "elbow")) for side in ("left", "right")
)
_TRUNK_POINTS = [
    skeleton.KEYPOINT_NAMES.index(f"{side}_{name}")
    for name in ("shoulder", "hip", "knee")
    for side in ("left", "right")
]
MAX_BODY_TURN = 2.0
"""Turn of the whole body from its estimate, in standard deviations an axis, where the fit misses what ties arms and
legs together: 1.7 at most of people whose estimate is right, 2.4 and more between two people."""
MAX_TRUNK_MISSED = 1
"""Shoulders, hips and knees that a fit may miss and still prove any turn: one may be an outlier."""
MIN_HAND_SPREAD_M = 0.016
"""Half of a hand's points are at least this far from their middle: 18 mm and more in hands of any pose seen from any
side, 15 mm and less of points that are one point with 3 px of noise on a person 512 px tall."""
MIN_HAND_SPREAD_SIGMA = 1.5
"""The same in standard deviations of the points, for a hand alone, whose distance is as unknown as its size."""
MAX_ARM_STRAIN = 1.2
"""Turn of an arm's joints from their estimate, root mean square in standard deviations an axis, where the body's own
keypoints do not show the wrist where the hand is."""
MAX_HEAD_SIGMA = 3.0
"""Head scale, in standard deviations of its prior."""
MAX_SHAPE = 5.0
"""Largest coefficient of the body shape, in standard deviations of people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """A result, as far as plausibility asks for it."""

    state: State
    """B people."""
    forward: Forward
    """Posed."""
    evidence: Reprojection
    """What their keypoints say."""
    observed_px: Tensor
    """(B, 133, 2) keypoints of the image."""
    precision: Tensor
    """(B, 133) one over their sigma in px, 0 where not seen."""
    camera: Camera
    """One a person."""
    joint_strain: Tensor
    """(B, 22) turn of root and body joints from the estimate, in its standard deviations an axis."""
    log_head_scale_sigma: float
    """Of the prior."""
    num_betas: int
    """Leading coefficients that are the body shape."""


def plausibility_limits(fit: Fit) -> tuple[tuple[Limit, ...], ...]:
    """What body, left hand, right hand and face are held to."""
    shape = most(
        "body shape {figure:.1f} standard deviations from the mean, allowed {limit:.0f}",
        fit.state.coefficients[:, : fit.num_betas].abs().amax(1),
        MAX_SHAPE,
        code=ErrorCode.FIT_IMPLAUSIBLE,
    )
    head = most(
        "head scale {figure:.1f} standard deviations from 1, allowed {limit:.0f}",
        fit.state.log_head_scale.abs().amax(1) / fit.log_head_scale_sigma,
        MAX_HEAD_SIGMA,
        code=ErrorCode.FIT_IMPLAUSIBLE,
    )
    trunk = (fit.precision[:, _TRUNK_POINTS] > 0) & ~fit.evidence.inlier[:, _TRUNK_POINTS]
    turn = most(
        "hips, knees or shoulders missed, and turned {figure:.1f} standard deviations from the estimate, "
        "allowed {limit:.0f}",
        torch.where(trunk.sum(1) > MAX_TRUNK_MISSED, fit.joint_strain[:, PELVIS], 0.0),
        MAX_BODY_TURN,
        code=ErrorCode.FIT_IMPLAUSIBLE,
    )
    return ((shape, turn), *((*_hand_limits(fit, side), shape) for side in range(2)), (head, shape))


def _hand_limits(fit: Fit, side: int) -> tuple[Limit, ...]:
    """What the left (0) or right (1) hand is held to."""
    points = PART_POINTS[1 + side]
    seen = (fit.precision[:, points] > 0)[..., None]
    places = torch.where(seen, fit.observed_px[:, points], torch.nan)
    spread_px = length(places - places.nanmedian(1, keepdim=True).values).nanmedian(1).values
    precision = torch.where(seen[..., 0], fit.precision[:, points], torch.nan).nanmedian(1).values
    depth = fit.forward.translation[:, 2] + fit.forward.joints[:, WRISTS[side], 2]
    wrist, elbow = _ARM_POINTS[side]
    missed = (fit.precision > 0) & ~fit.evidence.inlier
    arm = [part[side] for part in (COLLARS, SHOULDERS, ELBOWS, WRISTS)]
    strain = fit.joint_strain[:, arm].square().mean(1).sqrt()
    # A wrist that the fit meets proves whose hand it is, and so does an elbow where the wrist was not seen.
    proven = fit.evidence.inlier[:, wrist] | (~missed[:, wrist] & fit.evidence.inlier[:, elbow])
    return (
        least(
            "half of its points within {figure:.0f} mm of their middle, needed {limit:.0f} mm",
            spread_px * depth / fit.camera.focal_px,
            MIN_HAND_SPREAD_M,
            1e3,
            ErrorCode.FIT_IMPLAUSIBLE,
        ),
        least(
            "half of its points within {figure:.1f} of their standard deviations, needed {limit:.1f}",
            spread_px * precision,
            MIN_HAND_SPREAD_SIGMA,
            code=ErrorCode.FIT_IMPLAUSIBLE,
        ),
        most(
            "not at the body's wrist, the arm {figure:.1f} standard deviations from its estimate, allowed {limit:.1f}",
            torch.where(proven, 0.0, strain),
            MAX_ARM_STRAIN,
            code=ErrorCode.FIT_IMPLAUSIBLE,
        ),
    )
