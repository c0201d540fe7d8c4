"""All that is known of where people's keypoints are: seen by several calibrated cameras, stated in 3D, or both.

Seen by a camera with rotation R and shift t, a point X of the reference camera's frame lies at R X + t.

Legend: B people, V cameras, N 133 keypoints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.folding import Folded, SightRows, fold, fold_lines, sight_rows, solved
from fitting.inputs import Observations
from fitting.keypoint_term import geman_mcclure, precision_of
from model.body import skeleton
from model.imaging.camera import NEAR_M, Camera

_ROUNDS = 8
_SOFTNESS_SIGMA = 12.0
_PART_SHARE = 0.3
"""Weight of face and hand points in the first place: many points, little extent."""
_START_DEPTH_M = 5.0
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
        return cls(points_m=points[0], point_precision=points[1], joints_m=joints[0], joint_precision=joints[1])

    @property
    def as_keypoints(self) -> tuple[Tensor, Tensor]:
        """Keypoints (B, N, 3) and their precision (B, N), joints counted as the keypoints on them."""
        points, precision = self.points_m.clone(), self.point_precision.clone()
        for keypoint, joint in _ON_JOINTS:
            better = self.joint_precision[:, joint] > precision[:, keypoint]
            points[:, keypoint] = torch.where(better[:, None], self.joints_m[:, joint], points[:, keypoint])
            precision[:, keypoint] = torch.where(better, self.joint_precision[:, joint], precision[:, keypoint])
        return points, precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Sightings:
    """What is known of the places of B people's keypoints, in the frame of one camera each, the reference."""

    focal_px: Tensor
    """(B, V)."""
    principal_px: Tensor
    """(B, V, 2)."""
    rotation: Tensor
    """(B, V, 3, 3) from the reference to the camera."""
    shift_m: Tensor
    """(B, V, 3) the reference's origin in the camera's frame."""
    keypoints_px: Tensor
    """(B, V, N, 2); finite."""
    precision: Tensor
    """(B, V, N) one over their sigma in px, 0 for a keypoint that was not seen."""
    stated: Stated
    """Places known in 3D, in the frame of the reference."""

    @classmethod
    def of_one_camera(cls, camera: Camera, keypoints_px: Tensor, precision: Tensor, stated: Stated) -> "Sightings":
        """Keypoints (B, N, 2) of precision (B, N) in the image of the reference itself, and places in 3D."""
        eye = torch.eye(3, dtype=precision.dtype, device=precision.device)
        return cls(
            focal_px=camera.focal_px[:, None],
            principal_px=camera.principal_px[:, None],
            rotation=eye.expand(len(precision), 1, 3, 3),
            shift_m=precision.new_zeros(len(precision), 1, 3),
            keypoints_px=keypoints_px[:, None],
            precision=precision[:, None],
            stated=stated,
        )

    def in_cameras(self, points_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y and z (B, V, N) of points (B, N, 3) in the frame of every camera."""
        place = points_m[:, None].unbind(-1)
        x, y, z = (
            sum(self.rotation[..., row, k, None] * place[k] for k in range(3)) + self.shift_m[..., row, None]
            for row in range(3)
        )
        return x, y, z

    def residual(self, points_m: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (B, V, N) along x and y of points (B, N, 3) in the images, in standard deviations."""
        x, y, z = self.in_cameras(points_m)
        near = z.clamp(min=NEAR_M)
        return self._off(x / near, 0), self._off(y / near, 1)

    def _off(self, ray: Tensor, axis: int) -> Tensor:
        shown = self.focal_px[..., None] * ray + self.principal_px[..., axis, None]
        return (shown - self.keypoints_px[..., axis]) * self.precision

    def point_residual(self, points_m: Tensor) -> Tensor:
        """Residuals (B, N, 3) of points (B, N, 3) against those stated in 3D, in standard deviations."""
        return (points_m - self.stated.points_m) * self.stated.point_precision[..., None]

    def cost(self, points_m: Tensor, robust_scale: float) -> Tensor:
        """Robust cost (B,) of points (B, N, 3): a loss for each camera's sight of a point."""
        x, y = self.residual(points_m)
        seen = geman_mcclure(x.square() + y.square(), robust_scale)[0].sum((1, 2))
        return seen + geman_mcclure(self.point_residual(points_m).square().sum(-1), robust_scale)[0].sum(1)

    def linear(self, points_m: Tensor, robust_scale: float) -> tuple[SightRows, tuple[Tensor, Tensor]]:
        """Weighted derivatives and residuals of the images of points, about where they are (B, N, 3)."""
        x, y, z = self.in_cameras(points_m)
        near = z.clamp(min=NEAR_M)
        ray_x, ray_y = x / near, y / near
        off_x, off_y = self._off(ray_x, 0), self._off(ray_y, 1)
        weight = geman_mcclure(off_x.square() + off_y.square(), robust_scale)[1].sqrt()
        gain = self.focal_px[..., None] * self.precision * weight / near
        # Points before the near plane are shown as if they were on it, so their depth does not move them.
        ray_x, ray_y = (torch.where(z < NEAR_M, 0.0, ray) for ray in (ray_x, ray_y))
        return sight_rows(self.rotation, ray_x, ray_y, gain), (off_x * weight, off_y * weight)

    def fold(self, points_m: Tensor, robust_scale: float) -> Folded:
        """What is known of the points (B, N), linear about where they are (B, N, 3)."""
        rows, off = self.linear(points_m, robust_scale)
        apart = self.point_residual(points_m)
        weight = geman_mcclure(apart.square().sum(-1), robust_scale)[1] * self.stated.point_precision
        return fold(rows, *off).plus(weight * self.stated.point_precision, apart * weight[..., None])

    @property
    def rays(self) -> Tensor:
        """Where the keypoints were seen at unit focal length (B, V, N, 2)."""
        return (self.keypoints_px - self.principal_px[:, :, None]) / self.focal_px[..., None, None]

    def triangulated(self) -> Tensor:
        """Points (B, N, 3) that two views or more see, by linear least squares; not finite where fewer do."""
        gain = self.focal_px[..., None] * self.precision
        x, y, z = self.shift_m[..., None].expand(*gain.shape[:2], 3, gain.shape[2]).unbind(2)
        return solved(fold_lines(self.rotation, self.rays, gain, (x, y, z)))

    def translation(self, points_m: Tensor, joints_m: Tensor) -> Tensor:
        """Pelvis (B, 3) of a fixed body that best meets what is known, by reweighted linear least squares.

        Args:
            points_m: (B, N, 3) keypoints of the body relative to the pelvis, in the axes of the reference.
            joints_m: (B, 22, 3) joints.
        """
        part = torch.ones_like(self.precision[0, 0])
        part[skeleton.FACE.start :] = _PART_SHARE
        base = self.focal_px[..., None] * self.precision * part
        place = points_m.new_zeros(len(points_m), 3)
        place[:, 2] = _START_DEPTH_M
        for turn in range(_ROUNDS):
            points, joints = points_m + place[:, None], joints_m + place[:, None]
            x, y, z = self.in_cameras(points)
            far = torch.full_like(z, _START_DEPTH_M) if turn == 0 else z.clamp(min=NEAR_M)
            off_x, off_y = self.residual(points)
            weight = _soft(off_x.square() + off_y.square(), turn)
            gain = base * weight / far
            known = fold_lines(self.rotation, self.rays, gain, (x, y, z)).summed()
            for own, stated, precision in (
                (points, self.stated.points_m, self.stated.point_precision),
                (joints, self.stated.joints_m, self.stated.joint_precision),
            ):
                off = (own - stated) * precision[..., None]
                weight = _soft(off.square().sum(-1), turn)
                pull = (off * (weight * precision)[..., None]).sum(1, keepdim=True)
                known = known.plus((weight * precision.square()).sum(1, keepdim=True), pull)
            step = solved(known)[:, 0]
            place = torch.where(torch.isfinite(step).all(1, keepdim=True), place + step, place)
        return place


def _soft(squared: Tensor, turn: int) -> Tensor:
    """Weights against outliers of squared residuals; all one before the first place is known."""
    return torch.ones_like(squared) if turn == 0 else 1 / (1 + squared / _SOFTNESS_SIGMA**2).square()
