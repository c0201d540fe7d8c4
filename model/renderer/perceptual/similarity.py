"""L1, PSNR, SSIM and a multi-scale SSIM of pictures, each within a mask.

What lies outside a mask has no part in a value, neither as a pixel nor within the window of a pixel inside. Tables of
avatars are often of whole pictures on black instead: for those, multiply both pictures with the mask and give none.

Legend: B pictures, C channels, H x W px, values in [0, 1]. Masks (B or 1, 1, H, W): bool, or weights in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS_PX = 5
WINDOW_PX = 2 * RADIUS_PX + 1
"""Side of the Gaussian window, whose sigma is 1.5 px: that of Wang et al. (2004)."""
_BELL = [math.exp(-0.5 * (step / 1.5) ** 2) for step in range(-RADIUS_PX, RADIUS_PX + 1)]
WINDOW = tuple(value / sum(_BELL) for value in _BELL)
"""Weights of one axis."""
C1, C2 = 0.01**2, 0.03**2
"""Constants that keep the ratios of SSIM finite, for values in [0, 1]."""
NUM_SCALES = 3
"""Scales of the multi-scale SSIM: the picture, its half and its quarter."""
_NO_WEIGHT = 1e-8
"""Sums of weights below this are none."""


def l1(picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute difference, differentiable.

    Args:
        picture: (B, C, H, W).
        target: (B, C, H, W).
        mask: (B, 1, H, W); None: everything.

    Returns:
        (B,), in the type of the pictures, at least float32; 0 where the mask is empty.

    Raises:
        ValueError: Shapes differ, or the values are integers.
    """
    picture, target, weight = _checked(picture, target, mask)
    return _mean((picture - target).abs(), weight)


def ms_ssim_loss(picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """One minus SSIM, averaged over the picture and its half and quarter: 0 for equal pictures; differentiable.

    It is the plain mean over scales, not the product of powers of Wang et al. (2003), which has no value where contrast
    is reversed and no finite gradient where it is lost. Windows are cut at the border, so that the outermost pixels
    count. Smaller scales of a picture count as long as a whole window fits into them.

    Args:
        picture: (B, C, H, W).
        target: (B, C, H, W).
        mask: (B, 1, H, W); None: everything.

    Returns:
        (B,) in [0, 2], in the type of the pictures, at least float32; 0 where the mask is empty.

    Raises:
        ValueError: Shapes differ, or the values are integers.
    """
    picture, target, weight = _checked(picture, target, mask)
    losses = []
    for scale in range(NUM_SCALES):
        if scale > 0:
            smaller = F.avg_pool2d(weight, 2, ceil_mode=True)
            if min(smaller.shape[-2:]) < WINDOW_PX:
                break
            filled = smaller.clamp_min(_NO_WEIGHT)
            picture, target = (F.avg_pool2d(t * weight, 2, ceil_mode=True) / filled for t in (picture, target))
            weight = smaller
        losses.append(_mean(1 - _ssim_map(picture, target, weight), weight))
    return torch.stack(losses).mean(0)


def psnr_db(picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in decibels of values in [0, 1].

    Args:
        picture: (B, C, H, W).
        target: (B, C, H, W).
        mask: (B, 1, H, W); None: everything.

    Returns:
        (B,) float64; infinite for equal pictures, NaN where the mask is empty.

    Raises:
        ValueError: Shapes differ, or the values are integers.
    """
    picture, target, weight = _checked(picture, target, mask, torch.float64)
    error = _mean((picture - target).square(), weight)
    return torch.where(_is_empty(weight), torch.nan, -10 * error.log10())


def ssim(picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity of Wang et al. (2004): Gaussian window, mean over pixels that have a whole window around.

    Args:
        picture: (B, C, H, W), at least 11 px a side.
        target: (B, C, H, W).
        mask: (B, 1, H, W); None: everything.

    Returns:
        (B,) float64 in [-1, 1]; 1 for equal pictures, NaN where the mask is empty 5 px and more from the border.

    Raises:
        ValueError: Shapes differ, the values are integers, or the pictures are smaller than the window.
    """
    picture, target, weight = _checked(picture, target, mask, torch.float64)
    if min(picture.shape[-2:]) < WINDOW_PX:
        raise ValueError(
            f"SSIM looks through a window of {WINDOW_PX} x {WINDOW_PX} px; the pictures have "
            f"{picture.shape[-2]} x {picture.shape[-1]}: draw them larger"
        )
    inner = (..., slice(RADIUS_PX, -RADIUS_PX), slice(RADIUS_PX, -RADIUS_PX))
    similarity, weight = _ssim_map(picture, target, weight)[inner], weight[inner]
    return torch.where(_is_empty(weight), torch.nan, _mean(similarity, weight))


def _checked(
    picture: Tensor, target: Tensor, mask: Tensor | None, least: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """The pictures, in a type of at least ``least``, and the weight (B, 1, H, W) of their pixels."""
    if picture.dim() != 4 or picture.shape != target.shape:
        raise ValueError(
            f"expected two pictures of one shape (B, C, H, W), got {tuple(picture.shape)} and {tuple(target.shape)}"
        )
    if not (picture.is_floating_point() and target.is_floating_point()):
        raise ValueError(f"expected pictures of floats in [0, 1], got {picture.dtype} and {target.dtype}")
    dtype = torch.promote_types(torch.promote_types(picture.dtype, target.dtype), least)
    picture, target = picture.to(dtype), target.to(dtype)
    num, _, height, width = picture.shape
    if mask is None:
        return picture, target, picture.new_ones(num, 1, height, width)
    if mask.shape not in {(num, 1, height, width), (1, 1, height, width)}:
        raise ValueError(
            f"expected a mask ({num}, 1, {height}, {width}) of the size of the pictures, got {tuple(mask.shape)}"
        )
    return picture, target, mask.to(dtype).expand(num, -1, -1, -1)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of (B, C, H, W) -> (B,); 0 without any weight."""
    return (values.mean(1, keepdim=True) * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(_NO_WEIGHT)


def _is_empty(weight: Tensor) -> Tensor:
    return weight.sum((1, 2, 3)) < _NO_WEIGHT


def _ssim_map(picture: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """SSIM around each pixel, (B, C, H, W); windows end at the border and take each pixel by its weight."""
    covered = _blurred(weight).clamp_min(_NO_WEIGHT)
    products = torch.stack([picture, target, picture * picture, target * target, picture * target])
    x, y, xx, yy, xy = _blurred(products * weight) / covered
    means = (2 * x * y + C1) / (x * x + y * y + C1)
    return means * (2 * (xy - x * y) + C2) / ((xx - x * x) + (yy - y * y) + C2)


class _Blur(torch.autograd.Function):
    """(..., H, W) under the Gaussian window, zero outside; its own adjoint, since the window is symmetric.

    By sums, not by a convolution: variances are small differences of large numbers, and a GPU convolves float32 with 10
    bits of mantissa, autocast with 7. On a CPU it is faster, too.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        for dim, margin in ((-2, (0, 0, RADIUS_PX, RADIUS_PX)), (-1, (RADIUS_PX, RADIUS_PX))):
            side, padded = values.shape[dim], F.pad(values, margin)
            values = torch.zeros_like(values)
            for start, share in enumerate(WINDOW):
                values.add_(padded.narrow(dim, start, side), alpha=share)
        return values

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return _blurred(*slopes)


def _blurred(values: Tensor) -> Tensor:
    return cast(Tensor, _Blur.apply(values))
