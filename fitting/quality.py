"""How good a refined person is, from the result alone: nothing here looks at the image or at a truth.

The quality is a monotone map of an expected 3D error: what the model itself expects (`Uncertainty.pa_mpjpe_mm`) where
keypoints and estimates state their own errors correctly, plus the signs that they do not. The weights were calibrated
on people with known truth (`CALIBRATION`); `python -m benchmarks.quality` prints what the ranking is worth.
"""

import torch
from torch import Tensor

from fitting.reprojection import Reprojection
from fitting.uncertainty import Uncertainty

CALIBRATION = {
    "model_mm": 0.25,
    "estimate_error_rad": 100.0,
    "body_sigma_rel": 800.0,
    "reproj_rel": 200.0,
    "joints_unseen": 20.0,
    "outliers": 30.0,
}
"""Expected PA-MPJPE in mm = weights . figures.

A compromise of three kinds of people with known truth. Where keypoints and estimates state their errors correctly, the
model's own figure alone ranks as well as anything can. Where they do not, the error of the estimate that the keypoints
reveal and the outliers tell more. On rendered people seen by the default estimators, whose errors are coherent and so
leave no residual, the keypoints' own sigma tells most.

The weights were chosen by hand on 192 + 192 synthetic people (seeds 1000 and 1100) and 57 rendered ones, with a second
rendered set in view. Rank correlation with the true error: about 0.7 over many kinds of people, 0.3 to 0.6 where the
errors are not stated, about 0.5 on rendered people (more on some sets), and next to nothing among people of one kind,
where only luck tells them apart. `benchmarks/quality.py` measures all of it again.
"""
QUALITY_HALF_MM = 45.0
"""The expected error at which the quality is one half."""


def figures_of(evidence: Reprojection, uncertainty: Uncertainty, joints_moved_rad: Tensor) -> dict[str, Tensor]:
    """The six figures (B,) that tell of the error of a result, by the names of `CALIBRATION`; each grows with trouble.

    ``model_mm`` PA-MPJPE that the model expects; ``estimate_error_rad`` see the function of that name;
    ``body_sigma_rel`` mean stated sigma of the seen body keypoints over the box side; ``reproj_rel`` median residual of
    the inliers over the box side; ``joints_unseen`` share of root and body joints that no inlier shows; ``outliers``
    share of the seen keypoints that are not met.
    """
    return {
        "model_mm": uncertainty.pa_mpjpe_mm,
        "estimate_error_rad": estimate_error_rad(uncertainty, joints_moved_rad),
        "body_sigma_rel": evidence.body_sigma_rel,
        "reproj_rel": evidence.reproj_rel,
        "joints_unseen": 1 - evidence.joint_seen.to(evidence.reproj_rel.dtype).mean(1),
        "outliers": 1 - evidence.inlier_ratio,
    }


def estimate_error_rad(uncertainty: Uncertainty, joints_moved_rad: Tensor) -> Tensor:
    """Error (B,) of the coarse body joints an axis, as the keypoints reveal it.

    The keypoints determine a share 1 - ratio^2 of each of the 63 axes; only there could the joints move, and there they
    moved by the error of the estimate. Joints that nothing shows say nothing about it.
    """
    determined = (3 * (1 - uncertainty.joint_ratio[:, 1:].square())).sum(1).clamp(min=3.0)
    return (joints_moved_rad[:, 1:].square().sum(1) / determined).sqrt()


def expected_error_mm(figures: dict[str, Tensor]) -> Tensor:
    """Expected 3D joint error (B,) in mm after similarity alignment, from `figures_of`."""
    return torch.stack([weight * figures[name] for name, weight in CALIBRATION.items()]).sum(0)


def quality_score(error_mm: Tensor) -> Tensor:
    """Score in 0..1, 1 / (1 + (error / 45 mm)^2): strictly falling with the expected error; 0 where it is unknown."""
    return torch.nan_to_num(1 / (1 + (error_mm / QUALITY_HALF_MM).square()), nan=0.0)
