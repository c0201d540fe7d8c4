"""All that is known of where people's keypoints are: seen by several calibrated cameras, stated in 3D, or both.

Seen by a camera with rotation R and shift t, a point X of the reference camera's frame lies at R X + t.

Legend: B people, V cameras, N 133 keypoints.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting.folding import Folded, SightRows, fold, fold_lines, sight_rows, solved
from fitting.keypoint_term import geman_mcclure
from fitting.stated import Stated
from model.body import skeleton
from model.imaging.camera import NEAR_M, Camera

_ROUNDS = 8
_SOFTNESS_SIGMA = 12.0
_PART_SHARE = 0.3
"""Weight of face and hand points in the first place: many points, little extent."""
_START_DEPTH_M = 5.0


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

    def met_by(self, points_m: Tensor, joints_m: Tensor, robust_scale: float) -> "Sightings":
        """The same with the places in 3D where a body meets them best, see ``Stated.met_by``."""
        return replace(self, stated=self.stated.met_by(points_m, joints_m, robust_scale))

    def cost(self, points_m: Tensor, robust_scale: float) -> Tensor:
        """Robust cost (B,) of points (B, N, 3): a loss for each camera's sight of a point."""
        x, y = self.residual(points_m)
        seen = geman_mcclure(x.square() + y.square(), robust_scale)[0].sum((1, 2))
        return seen + geman_mcclure(self.stated.point_residual(points_m).square().sum(-1), robust_scale)[0].sum(1)

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
        apart = self.stated.point_residual(points_m)
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
        known_places = self.stated.placed
        for turn in range(_ROUNDS):
            points, joints = points_m + place[:, None], joints_m + place[:, None]
            x, y, z = self.in_cameras(points)
            far = torch.full_like(z, _START_DEPTH_M) if turn == 0 else z.clamp(min=NEAR_M)
            off_x, off_y = self.residual(points)
            weight = _soft(off_x.square() + off_y.square(), turn)
            gain = base * weight / far
            known = fold_lines(self.rotation, self.rays, gain, (x, y, z)).summed()
            for own, stated, precision in (
                (points, known_places.points_m, known_places.point_precision),
                (joints, known_places.joints_m, known_places.joint_precision),
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
