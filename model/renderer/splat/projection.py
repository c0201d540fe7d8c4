"""From Gaussians in space to Gaussians in the picture, by autograd.

Letters: B pictures, N Gaussians, K columns of a factor, H, W. Pixel (column i, row j) covers [i, i+1) x [j, j+1) and is
looked at in its centre (i + 0.5, j + 0.5).
"""

from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from model.imaging.camera import Camera
from model.renderer.splat.conventions import BLOCK_PX, Conventions
from model.renderer.splat.gaussians import Gaussians

_ROUNDING_PX = 0.01
"""Boxes are this much larger, so that rounding drops no pixel."""


class Projected(NamedTuple):
    """Gaussians in the picture: alpha = opacity x exp(-(a dx dx + c dy dy) / 2 - b dx dy), (dx, dy) from the mean."""

    mean_px: Tensor
    """(B, N, 2)."""
    conic: Tensor
    """(B, N, 3), the inverse covariance a, b, c, 1 / square pixels."""
    depth_m: Tensor
    """(B, N); the order of drawing."""
    height_px: Tensor
    """(B, N): how far above and below the mean alpha reaches the smallest that counts."""
    pixels: Tensor
    """(B, N, 4) int64: x from, y from, x to, y to (exclusive), inside the picture; empty where nothing is drawn."""


def project(gaussians: Gaussians, camera: Camera, size_hw: tuple[int, int], conventions: Conventions) -> Projected:
    """Projects each Gaussian to first order around its centre.

    Args:
        gaussians: (B, N).
        camera: (B,), of the pictures' type and device.
        size_hw: Of the pictures.
        conventions: Blur, margin, nearest plane and boxes.
    """
    x, y, z = gaussians.centres_m.unbind(-1)
    in_front = z > conventions.near_m
    inverse_z = 1.0 / torch.where(in_front, z, torch.ones_like(z))
    ray = torch.stack([x * inverse_z, y * inverse_z], -1)
    mean = camera.focal_px[:, None, None] * ray + camera.principal_px[:, None]
    shape_ray = ray
    if conventions.frustum_clamp is not None:
        low, high = _margins(camera, size_hw, conventions.frustum_clamp)
        shape_ray = torch.minimum(torch.maximum(ray, low[:, None]), high[:, None])
    # Rows of the derivative of the projection: f/z (1, 0, -x/z) and f/z (0, 1, -y/z).
    factors = gaussians.factors_m
    scale = (camera.focal_px[:, None] * inverse_z)[..., None, None]
    rows = scale * (factors[:, :, :2] - shape_ray[..., None] * factors[:, :, 2:])  # (B, N, 2, K)
    row_x, row_y = rows[:, :, 0], rows[:, :, 1]
    blur = conventions.blur_px2
    xx, xy, yy = (row_x * row_x).sum(-1), (row_x * row_y).sum(-1), (row_y * row_y).sum(-1)
    # The determinant as a sum of squares: the difference xx yy - xy xy loses all digits of a thin Gaussian.
    determinant = blur * (xx + yy) + blur * blur
    for i, j in combinations(range(factors.shape[3]), 2):
        minor = row_x[..., i] * row_y[..., j] - row_x[..., j] * row_y[..., i]
        determinant = determinant + minor * minor
    covariance = torch.stack([xx + blur, xy, yy + blur], -1)
    conic = torch.stack([yy + blur, -xy, xx + blur], -1) / determinant[..., None]
    opacity = gaussians.opacities.detach()
    reach = torch.sqrt(2.0 * torch.log((opacity / conventions.alpha_min).clamp(min=1.0)))
    height = reach * torch.sqrt(covariance[..., 2].detach())
    drawn = in_front & (opacity >= conventions.alpha_min) & (opacity > 0)
    pixels = _pixels(mean.detach(), covariance.detach(), reach, drawn, size_hw, conventions)
    return Projected(mean_px=mean, conic=conic, depth_m=z, height_px=height, pixels=pixels)


def _margins(camera: Camera, size_hw: tuple[int, int], clamp: float) -> tuple[Tensor, Tensor]:
    """Smallest and largest x/z and y/z (B, 2) that shapes are computed with: the picture and some half pictures."""
    size = camera.principal_px.new_tensor([size_hw[1], size_hw[0]])
    focal = camera.focal_px[:, None]
    beyond = (clamp - 1.0) * 0.5 * size / focal
    return -camera.principal_px / focal - beyond, (size - camera.principal_px) / focal + beyond


@torch.no_grad()
def _pixels(mean, covariance, reach, drawn, size_hw: tuple[int, int], conventions: Conventions) -> Tensor:
    """The pixels (B, N, 4) that look at a Gaussian; reach: in standard deviations."""
    size = mean.new_tensor([size_hw[1], size_hw[0]])
    variance = covariance[..., [0, 2]]
    half = reach[..., None] * torch.sqrt(variance) + _ROUNDING_PX
    low, high = torch.ceil(mean - half - 0.5), torch.floor(mean + half - 0.5) + 1.0
    if conventions.box == "3 sigma":
        middle = variance.mean(-1)
        determinant = variance.prod(-1) - covariance[..., 1] ** 2
        longest = middle + torch.sqrt((middle * middle - determinant).clamp(min=0.1))
        side = torch.ceil(3.0 * torch.sqrt(longest))[..., None]
        # That renderer counts pixels from the centre of the first one.
        low = torch.maximum(low, torch.trunc((mean - 0.5 - side) / BLOCK_PX) * BLOCK_PX)
        high = torch.minimum(high, torch.trunc((mean - 0.5 + side + BLOCK_PX - 1) / BLOCK_PX) * BLOCK_PX)
    low = torch.minimum(low.clamp(min=0.0), size).long()
    high = torch.minimum(high.clamp(min=0.0), size).long()
    drawn = drawn & (high > low).all(-1)
    return torch.cat([low, torch.where(drawn[..., None], high, low)], -1)
