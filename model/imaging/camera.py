"""Pinhole camera of the full image, and the pelvis position in coordinates that suit it.

Frames: image px with x right, y down; camera x right, y down, z forward, metres.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEAR_M = 0.1
"""Points closer to the camera plane than this are projected as if they were at this depth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """One pinhole camera a person."""

    focal_px: Tensor
    """Focal length (B,)."""
    principal_px: Tensor
    """Principal point (B, 2)."""

    def __post_init__(self) -> None:
        if self.focal_px.dim() != 1 or self.principal_px.shape != (*self.focal_px.shape, 2):
            raise ValueError(
                f"a camera needs focal_px (B,) and principal_px (B, 2), got {tuple(self.focal_px.shape)} and "
                f"{tuple(self.principal_px.shape)}; give every person of the batch its own camera"
            )

    def to(self, dtype: torch.dtype) -> "Camera":
        """The same camera in another floating-point type."""
        return Camera(focal_px=self.focal_px.to(dtype), principal_px=self.principal_px.to(dtype))


def project(points_cam_m: Tensor, camera: Camera) -> Tensor:
    """Points (B, N, 3) in the camera frame -> pixels (B, N, 2)."""
    return to_pixels(ray(points_cam_m), camera)


def ray(points_cam_m: Tensor) -> Tensor:
    """Points (B, N, 3) -> image-plane coordinates at unit focal length (B, N, 2): x/z, y/z."""
    return points_cam_m[..., :2] / points_cam_m[..., 2:].clamp(min=NEAR_M)


def to_pixels(ray_xy: Tensor, camera: Camera) -> Tensor:
    """Unit-focal coordinates (B, N, 2) -> pixels (B, N, 2)."""
    return camera.focal_px[:, None, None] * ray_xy + camera.principal_px[:, None]


def from_pixels(pixels: Tensor, camera: Camera) -> Tensor:
    """Pixels (B, N, 2) -> unit-focal coordinates (B, N, 2)."""
    return (pixels - camera.principal_px[:, None]) / camera.focal_px[:, None, None]


def position_to_transl(position: Tensor) -> Tensor:
    """Log-polar position (B, 3) = (x/z, y/z, log z) -> translation (B, 3) in metres.

    In these coordinates the in-image place and the depth are nearly independent, and depth cannot turn negative.
    """
    depth = torch.exp(position[..., 2])
    return torch.stack([position[..., 0] * depth, position[..., 1] * depth, depth], -1)


def transl_to_position(transl_m: Tensor) -> Tensor:
    """Translation (B, 3) in metres -> (x/z, y/z, log z) (B, 3). Depths below `NEAR_M` are lifted to it."""
    depth = transl_m[..., 2].clamp(min=NEAR_M)
    return torch.stack([transl_m[..., 0] / depth, transl_m[..., 1] / depth, torch.log(depth)], -1)


def fitted_translation(points_m: Tensor, ray_xy: Tensor, weight: Tensor) -> Tensor:
    """Translation (..., 3) that shows points best at given places: weighted linear least squares.

    Solves x (Z + t_z) = X + t_x and y (Z + t_z) = Y + t_y. t_x and t_y are eliminated first: of somebody far away the
    places are nearly one, and what little they differ by tells the depth. In the normal equations of all three it would
    be lost beside what tells t_x and t_y.

    Args:
        points_m: (..., N, 3) in the axes of the camera.
        ray_xy: (..., N, 2) where they are seen, at unit focal length.
        weight: (..., N) of the squared errors, 0 or more.

    Returns:
        Any depth, also one behind the camera; not finite where nothing has weight or what has is seen at one place.
    """
    share = (weight / weight.sum(-1, keepdim=True))[..., None]
    right = ray_xy * points_m[..., 2:] - points_m[..., :2]
    ray_mean, right_mean = (share * ray_xy).sum(-2), (share * right).sum(-2)
    ray_rest, right_rest = ray_xy - ray_mean[..., None, :], right - right_mean[..., None, :]
    depth = -(share * ray_rest * right_rest).sum((-1, -2)) / (share * ray_rest * ray_rest).sum((-1, -2))
    return torch.cat([right_mean + depth[..., None] * ray_mean, depth[..., None]], -1)
