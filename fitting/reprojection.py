"""What the refined keypoints say about a fit: residuals, inliers, and which parts are seen well enough to supervise."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datasets_manifest.schema.error_codes import Refusal
from fitting.forward import Forward
from fitting.limits import Limit, kept_by_part, least, most
from fitting.products import length
from model.body import skeleton

PART_POINTS = (skeleton.BODY_AND_FEET, *skeleton.HANDS_AND_FACE)
"""Keypoints of the four parts, in the order of per-part columns: body, left hand, right hand, face."""
_SHOULDERS, _HIPS = (5, 6), (11, 12)
_MIN_BODY_POINTS, _MIN_HAND_POINTS, _MIN_BLIND_HAND_POINTS, _MIN_FACE_POINTS = 6, 10, 15, 30
_MIN_ONE_SHOULDER_POINTS = 8
"""Body points needed when a single shoulder is all that is seen of the torso."""
_MAX_BODY_REL, _MAX_HAND_REL, _MAX_FACE_REL = 0.05, 0.12, 0.08
_MIN_INLIER_RATIO = (0.8, 0.5, 0.5, 0.5)
"""Of body, hands and face. Half of a hand's or a face's points hold the rest of it; half of a body's say nothing of the
other half, which may be somebody else's or made up."""
_MIN_SHOULDERS, _MIN_TORSO_POINTS = 1, 2
MAX_FACE_TURN_RAD = 100 * math.pi / 180
"""Largest angle between where the fitted head looks and where the camera is. A profile has 90 degrees and shows half a
face; further round, face points are guesses of the estimator. The 10 degrees allow for the error of the fitted head.
"""
MAX_ESTIMATED_TURN_RAD = 120 * math.pi / 180
"""The same for the head before the fit. A frontal face made up on the back of a head turns the fitted head round, even
past what a neck can do: the estimate of the body, within 20 degrees, has to agree that there is a face to be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reprojection:
    """Residuals of B people, summed up by part."""

    residual_px: Tensor
    """(B, 133) distance to the observed keypoint, NaN where none was seen."""
    inlier: Tensor
    """(B, 133) bool."""
    reproj_px: Tensor
    """(B, 4) median over the inliers of body, left hand, right hand, face; NaN without inliers."""
    reproj_part_rel: Tensor
    """(B, 4) the same as a share of the longer side of the person's box."""
    reproj_rel: Tensor
    """(B,) median over all inliers as a share of the longer side of the box."""
    inlier_ratio: Tensor
    """(B,) share of the seen keypoints that are inliers."""
    inlier_part_ratio: Tensor
    """(B, 4) the same by part; 0 where none was seen."""
    inlier_part_share: Tensor
    """(B, 4) inliers of a part over all its keypoints."""
    part_size_px: Tensor
    """(B, 4) what residuals of a part are compared with: the longer side of the person's box, of hands and face that of
    the box around their seen keypoints."""
    part_sigma_rel: Tensor
    """(B, 4) mean stated sigma of a part's seen keypoints over that size, of the body without feet; 0 without any."""
    face_turn_rad: Tensor
    """(B,) angle between the fitted head's forward axis and the direction to the camera: 0 frontal, pi from behind."""
    part_limits: tuple[tuple[Limit, ...], ...]
    """Of each part, what its figures are held to."""
    part_valid: Tensor
    """(B, 4) bool: seen well enough to supervise a model; all limits are kept."""
    limb_limits: tuple[Limit, ...]
    """Of each limb of `skeleton.BODY_GROUPS`, what it is held to."""
    limb_valid: Tensor
    """(B, 6) bool: the fit meets the limb, whatever becomes of the body."""
    joint_seen: Tensor
    """(B, 22) bool: some inlier shows how the joint is turned; the others stayed at their prior."""

    def held_to(self, further: tuple[tuple[Limit, ...], ...], usable: Tensor) -> "Reprojection":
        """The same with further limits of each part behind those it has; rows (B,) that are not usable keep none."""
        limits = tuple((*own, *more) for own, more in zip(self.part_limits, further, strict=True))
        return replace(self, part_limits=limits, part_valid=kept_by_part(limits) & usable[:, None])

    def doubt(self, row: int, part: int) -> Refusal | None:
        """What the first limit says that a part of a person does not keep; None if it keeps all."""
        broken = (limit for limit in self.part_limits[part] if not limit.kept[row])
        return next((Refusal(limit.code, limit.sentence(row)) for limit in broken), None)

    def limb_doubt(self, row: int, limb: int) -> str | None:
        """What is said against a limb of a person; None for one that the fit meets."""
        limit = self.limb_limits[limb]
        return None if limit.kept[row] else limit.sentence(row)

    def lack(self, row: int, part: int) -> str | None:
        """What is said of a part of which fewer points are seen than any fit has to meet; None if there are enough."""
        seen = int((~self.residual_px[row, PART_POINTS[part]].isnan()).sum())
        needed = int(self.part_limits[part][0].limit[row])
        return None if seen >= needed else f"{seen} points seen, needed {needed}"


def _masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median of the values (B, N) where the mask holds, NaN for rows without any."""
    return torch.where(mask, values, torch.full_like(values, torch.nan)).nanmedian(1).values


def _extent(points: Tensor, mask: Tensor) -> Tensor:
    """Longer side (B,) of the box around the points (B, N, 2) where the mask holds."""
    big = torch.finfo(points.dtype).max / 4
    low = torch.where(mask[..., None], points, torch.full_like(points, big)).amin(1)
    high = torch.where(mask[..., None], points, torch.full_like(points, -big)).amax(1)
    return (high - low).amax(1).clamp(min=1.0)


def face_turn_rad(forward: Forward) -> Tensor:
    """Angle (B,) between the forward axis of the head, +z of its rest frame, and the direction to the camera."""
    head = forward.joints[:, skeleton.HEAD] + forward.translation
    along = -(forward.rotations[:, skeleton.HEAD, :, 2] * head).sum(1)
    return torch.acos((along / length(head).clamp(min=1e-9)).clamp(-1.0, 1.0))


def _mean_sigma(precision: Tensor) -> Tensor:
    """Mean of 1 / precision (B, N) over the seen keypoints, (B,); 0 for rows without any."""
    seen = precision > 0
    sigma = torch.where(seen, 1 / torch.where(seen, precision, torch.ones_like(precision)), torch.zeros_like(precision))
    return sigma.sum(1) / seen.sum(1).clamp(min=1)


def measure_reprojection(
    *,
    keypoints_px: Tensor,
    shown: Tensor,
    observed_px: Tensor,
    precision: Tensor,
    inlier_sigma: float,
    boxes_xyxy: Tensor | None,
    hand_estimated: Tensor,
    face_turn: Tensor,
    estimated_turn: Tensor,
) -> Reprojection:
    """Sums up the residuals of refined keypoints.

    Args:
        keypoints_px: (B, 133, 2) of the refined body.
        shown: (B, 133) bool: before the camera; what is not is no inlier, wherever it is projected to.
        observed_px: (B, 133, 2) of the image.
        precision: (B, 133) one over sigma in 1/px, 0 for a keypoint that was not seen.
        inlier_sigma: residual in sigmas up to which a keypoint is an inlier.
        boxes_xyxy: (B, 4) px, or None for the extent of the seen keypoints.
        hand_estimated: (B, 2) bool; a hand without an estimate of its own needs more keypoints to be trusted.
        face_turn: (B,) `face_turn_rad`; a face seen from behind is not valid, whatever keypoints there are.
        estimated_turn: (B,) the same before the fit.
    """
    seen = precision > 0
    distance = length(torch.where(seen[..., None], keypoints_px - observed_px, torch.zeros_like(keypoints_px)))
    inlier = seen & shown & (distance * precision <= inlier_sigma)
    reproj = torch.stack([_masked_median(distance[:, part], inlier[:, part]) for part in PART_POINTS], 1)
    if boxes_xyxy is None:
        size = _extent(keypoints_px, seen)
    else:
        size = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).amax(1).clamp(min=1.0)
    count, num_seen = (torch.stack([mask[:, part].sum(1) for part in PART_POINTS], 1) for mask in (inlier, seen))
    share = count / num_seen.clamp(min=1)
    sizes = [size, *(_extent(keypoints_px[:, part], seen[:, part]) for part in PART_POINTS[1:])]
    limits = _part_limits(
        inlier=inlier,
        count=count,
        share=share,
        reproj=reproj,
        sizes=sizes,
        hand_estimated=hand_estimated,
        turns=(face_turn, estimated_turn),
    )
    limbs = _limb_limits(seen, inlier)
    part_size = torch.stack(sizes, 1)
    sigmas = [_mean_sigma(precision[:, part]) for part in (skeleton.BODY, *PART_POINTS[1:])]
    return Reprojection(
        residual_px=torch.where(seen, distance, torch.full_like(distance, torch.nan)),
        inlier=inlier,
        reproj_px=reproj,
        reproj_part_rel=reproj / size[:, None],
        reproj_rel=_masked_median(distance, inlier) / size,
        inlier_ratio=inlier.sum(1) / seen.sum(1).clamp(min=1),
        inlier_part_ratio=share,
        inlier_part_share=torch.stack([inlier[:, part].to(size.dtype).mean(1) for part in PART_POINTS], 1),
        part_size_px=part_size,
        part_sigma_rel=torch.stack(sigmas, 1) / part_size,
        face_turn_rad=face_turn,
        part_limits=limits,
        part_valid=kept_by_part(limits),
        limb_limits=limbs,
        limb_valid=torch.stack([limit.kept for limit in limbs], 1),
        joint_seen=torch.stack([inlier[:, list(points)].any(1) for points in skeleton.JOINT_KEYPOINTS.values()], 1),
    )


def _limb_limits(seen: Tensor, inlier: Tensor) -> tuple[Limit, ...]:
    """What each limb is held to: all of its seen points (B, 133) are inliers, one at least."""
    limits = []
    for points in map(list, skeleton.BODY_GROUPS.values()):
        num_seen, num_met = seen[:, points].sum(1), inlier[:, points].sum(1)
        text = "the fit meets {figure:.0f} of its points, needed {limit:.0f}"
        limits.append(Limit(text=text, figure=num_met, limit=num_seen.clamp(min=1), is_least=True))
    return tuple(limits)


def _part_limits(
    *,
    inlier: Tensor,
    count: Tensor,
    share: Tensor,
    reproj: Tensor,
    sizes: list[Tensor],
    hand_estimated: Tensor,
    turns: tuple[Tensor, Tensor],
) -> tuple[tuple[Limit, ...], ...]:
    """What body, left hand, right hand and face are held to: the number of points, then the most telling first.

    Args:
        inlier: (B, 133) bool.
        count: (B, 4) inliers of each part.
        share: (B, 4) the same as a share of the seen points.
        reproj: (B, 4) px.
        sizes: of each part (B,) px what its residual is compared with.
        hand_estimated: (B, 2) bool.
        turns: the face's turn away from the camera (B,) after and before the fit.
    """

    def common(part: int, needed: Tensor | int, largest: float) -> tuple[Limit, ...]:
        return (
            least("the fit meets {figure:.0f} points, needed {limit:.0f}", count[:, part], needed),
            least(
                "the fit meets {figure:.0f} % of the points, needed {limit:.0f} %",
                share[:, part],
                _MIN_INLIER_RATIO[part],
                100,
            ),
            most("median residual {figure:.1f} px, allowed {limit:.1f} px", reproj[:, part], largest * sizes[part]),
        )

    shoulders, hips = inlier[:, list(_SHOULDERS)].sum(1), inlier[:, list(_HIPS)].sum(1)
    # Many body points make up for a torso of which a single shoulder is seen.
    torso = torch.where(count[:, 0] >= _MIN_ONE_SHOULDER_POINTS, _MIN_SHOULDERS, _MIN_TORSO_POINTS)
    fingers = torch.where(hand_estimated, _MIN_HAND_POINTS, _MIN_BLIND_HAND_POINTS)
    degrees = 180 / math.pi
    return (
        (
            *common(0, _MIN_BODY_POINTS, _MAX_BODY_REL),
            least("the fit meets {figure:.0f} shoulders, needed {limit:.0f}", shoulders, _MIN_SHOULDERS),
            least("the fit meets {figure:.0f} of shoulders and hips, needed {limit:.0f}", shoulders + hips, torso),
        ),
        *(common(1 + side, fingers[:, side], _MAX_HAND_REL) for side in range(2)),
        (
            *common(3, _MIN_FACE_POINTS, _MAX_FACE_REL),
            most(
                "face {figure:.0f} degrees from the camera, allowed {limit:.0f}", turns[0], MAX_FACE_TURN_RAD, degrees
            ),
            most(
                "body's head {figure:.0f} degrees from the camera, allowed {limit:.0f}",
                turns[1],
                MAX_ESTIMATED_TURN_RAD,
                degrees,
            ),
        ),
    )
