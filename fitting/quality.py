"""How good the parts of a refined person are, from the result alone: nothing here looks at the image or at a truth.

The quality of a part is a monotone map of its expected 3D error: a base, plus what the model itself expects where
keypoints and estimates state their own errors correctly, plus the signs that they do not; what no residual of a source
of keypoints shows comes with the observations (`hidden_error_mm`). The numbers of `CALIBRATIONS`
were fitted on people with known truth; `python -m benchmarks.quality` prints what the ranking is worth, and
`python -m benchmarks.quality_fit` fits those of hands and face again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.reprojection import Reprojection
from fitting.uncertainty import Uncertainty


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The way from the figures of a part to its quality."""

    base_mm: float
    """Expected error of a part without any sign of trouble."""
    weights_mm: Mapping[str, float]
    """What a figure of one adds to it; none is negative, so that quality falls with every sign of trouble."""
    half_mm: float
    """The expected error at which the quality is one half."""

    def expected_error_mm(self, figures: Mapping[str, Tensor]) -> Tensor:
        """Expected error (B,) of a part whose figures (B,) are given, after similarity alignment."""
        weighted = [weight * figures[name] for name, weight in self.weights_mm.items()]
        return self.base_mm + torch.stack(weighted, -1).sum(-1)

    def quality(self, error_mm: Tensor) -> Tensor:
        """0..1, 1 / (1 + (error / half)^2): strictly falling with the expected error (B,); 0 where it is unknown."""
        return torch.nan_to_num(1 / (1 + (error_mm / self.half_mm).square()), nan=0.0)

    def error_mm(self, quality: Tensor) -> Tensor:
        """The expected error (B,) that a quality stands for; infinite for 0."""
        return self.half_mm * (1 / quality - 1).sqrt()


BODY = Calibration(
    base_mm=0.0,
    weights_mm={
        "model_mm": 0.25,
        "estimate_error_rad": 100.0,
        "sigma_rel": 800.0,
        "reproj_rel": 200.0,
        "joints_unseen": 20.0,
        "outliers": 30.0,
    },
    half_mm=45.0,
)
"""PA-MPJPE of the 22 main joints.

A compromise of three kinds of people with known truth. Where keypoints and estimates state their errors correctly, the
model's own figure alone ranks as well as anything can. Where they do not, the error of the estimate that the keypoints
reveal and the outliers tell more. On rendered people seen by the default estimators, whose errors are coherent and so
leave no residual, the keypoints' own sigma tells most.

The weights were chosen by hand on 192 + 192 synthetic people (seeds 1000 and 1100) and 57 rendered ones, with a second
rendered set in view. Rank correlation with the true error: about 0.7 over many kinds of people, 0.3 to 0.6 where the
errors are not stated, about 0.5 on rendered people (more on some sets), and next to nothing among people of one kind,
where only luck tells them apart. `benchmarks/quality.py` measures all of it again.
"""
HAND = Calibration(
    base_mm=0.42,
    weights_mm={"model_rad": 28.08, "sigma_rel": 0.87, "reproj_rel": 1.78, "outliers": 8.8},
    half_mm=5.0,
)
"""PA-MPJPE of wrist and finger joints; a hand that nobody saw is off by some 11 mm."""
FACE = Calibration(base_mm=1.84, weights_mm={"sigma_rel": 1.85, "reproj_rel": 6.75, "outliers": 1.46}, half_mm=4.0)
"""PA error of the head's vertices at rest; the mean face is off by some 3.5 mm."""
CALIBRATIONS = (BODY, HAND, HAND, FACE)
"""Of body, left hand, right hand and face."""


def figures_of(
    evidence: Reprojection, uncertainty: Uncertainty, joints_moved_rad: Tensor
) -> tuple[dict[str, Tensor], ...]:
    """The figures (B,) that tell of the error of body, left hand, right hand and face, by the names of `CALIBRATIONS`;
    each grows with trouble.

    Of every part: ``sigma_rel`` mean stated sigma of its seen keypoints, and ``reproj_rel`` median residual of its
    inliers, over its size (of the body over the box side; all inliers count there); ``outliers`` share of the seen
    keypoints that are not met, ``unseen`` share of its keypoints that are no inliers. Of the body ``model_mm`` PA-MPJPE
    that the model expects; ``estimate_error_rad`` see the function of that name; ``joints_unseen`` share of root and
    body joints that no inlier shows. Of a hand ``model_rad`` standard deviation of the fingers that the model expects.
    Of a face ``turn_rad`` its turn away from the camera.
    """
    share_unseen = 1 - evidence.joint_seen.to(evidence.reproj_rel.dtype).mean(1)
    body = {
        "model_mm": uncertainty.pa_mpjpe_mm,
        "estimate_error_rad": estimate_error_rad(uncertainty, joints_moved_rad),
        "sigma_rel": evidence.part_sigma_rel[:, 0],
        "reproj_rel": evidence.reproj_rel,
        "joints_unseen": share_unseen,
        "outliers": 1 - evidence.inlier_ratio,
    }
    left, right = ({"model_rad": uncertainty.hand_sigma_rad[:, side]} for side in range(2))
    others = [left, right, {"turn_rad": evidence.face_turn_rad}]
    for part, figures in enumerate(others, 1):
        figures |= {
            "sigma_rel": evidence.part_sigma_rel[:, part],
            "reproj_rel": torch.nan_to_num(evidence.reproj_px[:, part] / evidence.part_size_px[:, part]),
            "outliers": 1 - evidence.inlier_part_ratio[:, part],
            "unseen": 1 - evidence.inlier_part_share[:, part],
        }
    return body, *others


def estimate_error_rad(uncertainty: Uncertainty, joints_moved_rad: Tensor) -> Tensor:
    """Error (B,) of the coarse body joints an axis, as the keypoints reveal it.

    The keypoints determine a share 1 - ratio^2 of each of the 63 axes; only there could the joints move, and there they
    moved by the error of the estimate. Joints that nothing shows say nothing about it.
    """
    determined = (3 * (1 - uncertainty.joint_ratio[:, 1:].square())).sum(1).clamp(min=3.0)
    return (joints_moved_rad[:, 1:].square().sum(1) / determined).sqrt()


def expected_errors_mm(figures: tuple[dict[str, Tensor], ...]) -> Tensor:
    """Expected errors (B, 4) of body, left hand, right hand and face, from `figures_of`."""
    own = zip(CALIBRATIONS, figures, strict=True)
    return torch.stack([calibration.expected_error_mm(values) for calibration, values in own], 1)


def qualities(errors_mm: Tensor) -> Tensor:
    """Qualities (B, 4) of body, left hand, right hand and face, from their expected errors (B, 4)."""
    own = zip(CALIBRATIONS, errors_mm.unbind(1), strict=True)
    return torch.stack([calibration.quality(error) for calibration, error in own], 1)
