"""How good a refined person is, from the result alone: nothing here looks at the image or at a truth.

The quality score is a monotone map of an expected 3D error, a line in six figures of the result and of its keypoints;
the line was calibrated on people with known truth (`CALIBRATION`). Ranking is what it is good for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.parameters import BODY, POSITION, ROOT, Layout
from model.body import skeleton

PART_POINTS = (
    slice(skeleton.BODY.start, skeleton.FEET.stop),
    skeleton.LEFT_HAND,
    skeleton.RIGHT_HAND,
    skeleton.FACE,
)
"""Keypoints of the four parts, in the order of per-part columns: body, left hand, right hand, face."""
_SHOULDERS, _HIPS = (5, 6), (11, 12)
_MIN_BODY_POINTS, _MIN_HAND_POINTS, _MIN_BLIND_HAND_POINTS, _MIN_FACE_POINTS = 6, 10, 15, 30
_MIN_ONE_SHOULDER_POINTS = 8
"""Body points needed when a single shoulder is all that is seen of the torso."""
_MAX_BODY_REL, _MAX_HAND_REL, _MAX_FACE_REL = 0.05, 0.12, 0.08
_MIN_INLIER_RATIO = 0.5
_JOINT_KEYPOINTS: dict[int, tuple[int, ...]] = {
    0: (11, 12), 1: (13,), 2: (14,), 3: (5, 6), 4: (15,), 5: (16,), 6: (5, 6), 7: (17, 18, 19), 8: (20, 21, 22),
    9: (5, 6), 10: (17, 18), 11: (20, 21), 12: (0, 1, 2, 3, 4, *range(23, 91)), 13: (5,), 14: (6,),
    15: (0, 1, 2, 3, 4, *range(23, 91)), 16: (7,), 17: (8,), 18: (9, 91), 19: (10, 112), 20: tuple(range(92, 112)),
    21: tuple(range(113, 133)),
}  # fmt: skip
"""Keypoints below each of the 22 joints that show how it is turned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Residuals of B people, summed up by part."""

    residual_px: Tensor
    """(B, 133) distance to the observed keypoint, NaN where none was seen."""
    inlier: Tensor
    """(B, 133) bool."""
    reproj_px: Tensor
    """(B, 4) median over the inliers of body, left hand, right hand, face; NaN without inliers."""
    reproj_rel: Tensor
    """(B,) median over all inliers as a share of the longer side of the box."""
    inlier_ratio: Tensor
    """(B,) share of the seen keypoints that are inliers."""
    body_sigma_rel: Tensor
    """(B,) mean stated sigma of the seen body keypoints as a share of the longer side of the box; 0 without any."""
    part_valid: Tensor
    """(B, 4) bool: seen well enough to supervise a model."""
    joint_seen: Tensor
    """(B, 22) bool: some inlier shows how the joint is turned; the others stayed at their prior."""


def _masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median of the values (B, N) where the mask holds, NaN for rows without any."""
    return torch.where(mask, values, torch.full_like(values, torch.nan)).nanmedian(1).values


def _extent(points: Tensor, mask: Tensor) -> Tensor:
    """Longer side (B,) of the box around the points (B, N, 2) where the mask holds."""
    big = torch.finfo(points.dtype).max / 4
    low = torch.where(mask[..., None], points, torch.full_like(points, big)).amin(1)
    high = torch.where(mask[..., None], points, torch.full_like(points, -big)).amax(1)
    return (high - low).amax(1).clamp(min=1.0)


def _mean_sigma(precision: Tensor) -> Tensor:
    """Mean of 1 / precision (B, N) over the seen keypoints, (B,); 0 for rows without any."""
    seen = precision > 0
    sigma = torch.where(seen, 1 / torch.where(seen, precision, torch.ones_like(precision)), torch.zeros_like(precision))
    return sigma.sum(1) / seen.sum(1).clamp(min=1)


def gather_evidence(
    *,
    keypoints_px: Tensor,
    observed_px: Tensor,
    precision: Tensor,
    inlier_sigma: float,
    boxes_xyxy: Tensor | None,
    hand_estimated: Tensor,
) -> Evidence:
    """Sums up the residuals of refined keypoints (B, 133, 2) against observed ones with precision (B, 133) in 1/px.

    A hand without an estimate of its own (`hand_estimated` (B, 2) False) needs more keypoints to be trusted.
    """
    seen = precision > 0
    distance = torch.where(seen[..., None], keypoints_px - observed_px, torch.zeros_like(keypoints_px)).norm(dim=-1)
    inlier = seen & (distance * precision <= inlier_sigma)
    reproj = torch.stack([_masked_median(distance[:, part], inlier[:, part]) for part in PART_POINTS], 1)
    if boxes_xyxy is None:
        size = _extent(keypoints_px, seen)
    else:
        size = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).amax(1).clamp(min=1.0)
    count = torch.stack([inlier[:, part].sum(1) for part in PART_POINTS], 1)
    share = count / torch.stack([seen[:, part].sum(1) for part in PART_POINTS], 1).clamp(min=1)
    trusted = share >= _MIN_INLIER_RATIO
    shoulders, hips = inlier[:, list(_SHOULDERS)].sum(1), inlier[:, list(_HIPS)].sum(1)
    torso = (shoulders >= 1) & ((shoulders + hips >= 2) | (count[:, 0] >= _MIN_ONE_SHOULDER_POINTS))
    body = torso & (count[:, 0] >= _MIN_BODY_POINTS) & (reproj[:, 0] <= _MAX_BODY_REL * size)
    needed = torch.where(hand_estimated, _MIN_HAND_POINTS, _MIN_BLIND_HAND_POINTS)
    hands = [
        (count[:, 1 + side] >= needed[:, side])
        & (
            reproj[:, 1 + side]
            <= _MAX_HAND_REL * _extent(keypoints_px[:, PART_POINTS[1 + side]], seen[:, PART_POINTS[1 + side]])
        )
        for side in range(2)
    ]
    face_size = _extent(keypoints_px[:, skeleton.FACE], seen[:, skeleton.FACE])
    face = (count[:, 3] >= _MIN_FACE_POINTS) & (reproj[:, 3] <= _MAX_FACE_REL * face_size)
    return Evidence(
        residual_px=torch.where(seen, distance, torch.full_like(distance, torch.nan)),
        inlier=inlier,
        reproj_px=reproj,
        reproj_rel=_masked_median(distance, inlier) / size,
        inlier_ratio=inlier.sum(1) / seen.sum(1).clamp(min=1),
        body_sigma_rel=_mean_sigma(precision[:, skeleton.BODY]) / size,
        part_valid=torch.stack([body, *hands, face], 1) & trusted,
        joint_seen=torch.stack([inlier[:, list(points)].any(1) for points in _JOINT_KEYPOINTS.values()], 1),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Uncertainty:
    """What the final normal matrix says about the unknowns: standard deviations of a Gaussian around the result."""

    joint_sigma_rad: Tensor
    """(B, 22) root mean square over the three axes of root and body joints, all in the camera frame."""
    hand_sigma_rad: Tensor
    """(B, 2) root mean square over the 45 coordinates."""
    log_depth_sigma: Tensor
    """(B,) relative uncertainty of the pelvis depth."""
    conditioning: Tensor
    """(B,) mean over the body joints of sigma after / sigma before the keypoints: 1 means they said nothing."""


def uncertainty(hessian: Tensor, layout: Layout, prior_sigma_rad: Tensor) -> Uncertainty:
    """Inverts normal matrices (B, P, P); `prior_sigma_rad` (B, 22) are the beliefs before. Rows that cannot are NaN."""
    factor, info = torch.linalg.cholesky_ex(hessian)
    variance = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
    variance = torch.where((info == 0)[:, None], variance, torch.full_like(variance, torch.nan)).clamp(min=0)
    joints = torch.cat([variance[:, ROOT], variance[:, BODY]], 1).unflatten(1, (22, 3)).mean(-1).sqrt()
    hands = torch.stack([variance[:, layout.hand(side)].mean(1).sqrt() for side in range(2)], 1)
    return Uncertainty(
        joint_sigma_rad=joints,
        hand_sigma_rad=hands,
        log_depth_sigma=variance[:, POSITION.stop - 1].sqrt(),
        conditioning=(joints / prior_sigma_rad)[:, 1:].mean(1).clamp(max=1.0),
    )


CALIBRATION = {
    "offset": 1.0,
    "reproj_rel": 740.0,
    "outliers": 64.0,
    "moved_rad": 85.0,
    "joint_sigma_rad": 63.0,
    "body_sigma_rel": 1000.0,
    "joints_unseen": 50.0,
}
"""Expected PA-MPJPE in mm = offset + weights . figures.

The first five: non-negative least squares on 600 synthetic people of the open body, with coarse errors of 3-14
degrees an axis, noise of 0.5-8 px, 1-8 % outliers, 5-25 % missing keypoints, a third of them upper bodies. The last two
were set on 55 rendered people seen by the default estimators, whose errors are coherent, so that only the keypoints'
own sigma tells of them. Rank correlation with the true error without and with these two: 0.55 and 0.70 on 288 other
synthetic people, 0.20 and 0.62 on the 55 rendered ones; with them 0.75 on 59 rendered people that had no part in it.
"""
QUALITY_HALF_MM = 45.0
"""The expected error at which the quality is one half."""


def expected_error_mm(
    *,
    reproj_rel: Tensor,
    inlier_ratio: Tensor,
    moved_rad: Tensor,
    joint_sigma_rad: Tensor,
    body_sigma_rel: Tensor,
    joints_unseen: Tensor,
) -> Tensor:
    """Expected 3D joint error (B,) in mm after similarity alignment.

    Args:
        reproj_rel: (B,) median inlier residual over box side.
        inlier_ratio: (B,).
        moved_rad: (B,) mean turn of the joints against the coarse estimate.
        joint_sigma_rad: (B,) mean posterior sigma of the body joints.
        body_sigma_rel: (B,) mean sigma of the seen body keypoints over box side.
        joints_unseen: (B,) share of root and body joints that no inlier shows.
    """
    line = CALIBRATION
    return (
        line["offset"]
        + line["reproj_rel"] * reproj_rel
        + line["outliers"] * (1 - inlier_ratio)
        + line["moved_rad"] * moved_rad
        + line["joint_sigma_rad"] * joint_sigma_rad
        + line["body_sigma_rel"] * body_sigma_rel
        + line["joints_unseen"] * joints_unseen
    )


def quality_score(error_mm: Tensor) -> Tensor:
    """Score in 0..1, 1 / (1 + (error / 45 mm)^2): strictly falling with the expected error; 0 where it is unknown."""
    return torch.nan_to_num(1 / (1 + (error_mm / QUALITY_HALF_MM).square()), nan=0.0)
