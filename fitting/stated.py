"""Places of people's keypoints and joints that are known in 3D: where they are, or where they are but for a shift.

Places of a person that are known up to a shift have an origin of their own. The shift s that meets the body x best is
eliminated (variable projection): the cost is min over s of the sum of rho(|x_i - p_i - s|^2). At that s the derivative
of the cost is that of places at p_i + s, and its normal matrix that of such places less what the shift explains.

Legend: B people, N 133 keypoints.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.inputs import Observations
from fitting.keypoint_term import geman_mcclure, precision_of
from model.body import skeleton

_ROUNDS = 10
"""Of reweighting, after which a shift is where the next moves it by no more than rounding."""
_LEAST_PLACES = 2
"""One place up to a shift says nothing."""
_ON_JOINTS = tuple(
    (keypoint, joint) for keypoint, joint in skeleton.KEYPOINT_JOINT.items() if joint < skeleton.NUM_MAIN_JOINTS
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """Places known in 3D of B people, in the frame of a camera each; finite."""

    points_m: Tensor
    """(B, N, 3) keypoints."""
    point_precision: Tensor
    """(B, N) one over their sigma in metres, 0 for those not known."""
    joints_m: Tensor
    """(B, 22, 3) root and body joints of the model."""
    joint_precision: Tensor
    """(B, 22) one over their sigma in metres, 0 for those not known."""
    is_relative: Tensor | None = None
    """(B,) bool: the places are known up to a shift of all of them; None: nobody's are."""

    @classmethod
    def nothing(cls, like: Tensor) -> "Stated":
        """Nothing known of as many people as there are in `like` (B, ...), of its type."""
        points = like.new_zeros(len(like), skeleton.NUM_KEYPOINTS, 3)
        joints = points[:, : skeleton.NUM_MAIN_JOINTS]
        return cls(points_m=points, point_precision=points[..., 0], joints_m=joints, joint_precision=joints[..., 0])

    @classmethod
    def of(cls, observations: Observations, dtype: torch.dtype) -> "Stated | None":
        """What observations know in 3D, in a floating-point type; None where they know nothing."""
        if observations.points_m is None and observations.joints_m is None:
            return None

        def checked(place: Tensor | None, sigma: Tensor | None, number: int) -> tuple[Tensor, Tensor]:
            if place is None or sigma is None:
                none = observations.sigma_px.new_zeros(len(observations.sigma_px), number, 3, dtype=dtype)
                return none, none[..., 0]
            precision = precision_of(sigma.to(dtype), place.to(dtype))
            return torch.where((precision > 0)[..., None], place.to(dtype), 0.0), precision

        points = checked(observations.points_m, observations.points_sigma_m, skeleton.NUM_KEYPOINTS)
        joints = checked(observations.joints_m, observations.joints_sigma_m, skeleton.NUM_MAIN_JOINTS)
        stated = cls(points_m=points[0], point_precision=points[1], joints_m=joints[0], joint_precision=joints[1])
        relative = observations.points_are_relative
        return stated if relative is None or not bool(relative.any()) else stated._up_to_shift(relative)

    def _up_to_shift(self, relative: Tensor) -> "Stated":
        """The same, of some people (B,) up to a shift: about their mean, and nothing of those with a single place."""
        known = torch.cat([self.point_precision, self.joint_precision], 1) > 0
        places = torch.cat([self.points_m, self.joints_m], 1)
        mean = (places * known[..., None]).sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        mean = torch.where(relative[:, None], mean, 0.0)[:, None]
        says_nothing = (relative & (known.sum(1) < _LEAST_PLACES))[:, None]

        def about(place: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
            precision = torch.where(says_nothing, 0.0, precision)
            return torch.where((precision > 0)[..., None], place - mean, 0.0), precision

        points, joints = about(self.points_m, self.point_precision), about(self.joints_m, self.joint_precision)
        return Stated(
            points_m=points[0],
            point_precision=points[1],
            joints_m=joints[0],
            joint_precision=joints[1],
            is_relative=relative,
        )

    @property
    def placed(self) -> "Stated":
        """Those of the places that say where people are."""
        if self.is_relative is None:
            return self
        known = ~self.is_relative[:, None]
        points, joints = self.point_precision * known, self.joint_precision * known
        return replace(self, point_precision=points, joint_precision=joints, is_relative=None)

    @property
    def as_keypoints(self) -> tuple[Tensor, Tensor]:
        """Keypoints (B, N, 3) and their precision (B, N), joints counted as the keypoints on them."""
        points, precision = self.points_m.clone(), self.point_precision.clone()
        for keypoint, joint in _ON_JOINTS:
            better = self.joint_precision[:, joint] > precision[:, keypoint]
            points[:, keypoint] = torch.where(better[:, None], self.joints_m[:, joint], points[:, keypoint])
            precision[:, keypoint] = torch.where(better, self.joint_precision[:, joint], precision[:, keypoint])
        return points, precision

    def point_residual(self, points_m: Tensor) -> Tensor:
        """Residuals (B, N, 3) of keypoints (B, N, 3), in standard deviations."""
        return (points_m - self.points_m) * self.point_precision[..., None]

    def joint_residual(self, joints_m: Tensor) -> Tensor:
        """Residuals (B, 22, 3) of root and body joints (B, 22, 3), in standard deviations."""
        return (joints_m - self.joints_m) * self.joint_precision[..., None]

    def weights(self, points_m: Tensor, joints_m: Tensor, robust_scale: float) -> tuple[Tensor, Tensor]:
        """One over the variance of keypoints (B, N) and joints (B, 22), less for what the robust loss holds apart."""
        residuals = self.point_residual(points_m), self.joint_residual(joints_m)
        points, joints = (geman_mcclure(off.square().sum(-1), robust_scale)[1] for off in residuals)
        return points * self.point_precision.square(), joints * self.joint_precision.square()

    def met_by(self, points_m: Tensor, joints_m: Tensor, robust_scale: float) -> "Stated":
        """The places where a body with keypoints (B, N, 3) and joints (B, 22, 3) meets them best: those that are known
        up to a shift moved by it."""
        if self.is_relative is None:
            return self
        precision = torch.cat([self.point_precision, self.joint_precision], 1)
        off = torch.cat([points_m - self.points_m, joints_m - self.joints_m], 1)
        # From their median, which half of the places may be far from, as robust least squares do not start well.
        known = torch.where((precision > 0)[..., None], off, torch.nan)
        shift = known.nanmedian(1, keepdim=True).values.nan_to_num(0.0)
        for _ in range(_ROUNDS):
            squared = ((off - shift) * precision[..., None]).square().sum(-1)
            weight = (geman_mcclure(squared, robust_scale)[1] * precision.square())[..., None]
            total = weight.sum(1, keepdim=True)
            mean = (weight * off).sum(1, keepdim=True) / total.clamp(min=torch.finfo(total.dtype).tiny)
            shift = torch.where(total > 0, mean, shift)
        shift = torch.where(self.is_relative[:, None, None], shift, 0.0)
        return replace(self, points_m=self.points_m + shift, joints_m=self.joints_m + shift)
