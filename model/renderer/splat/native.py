"""The rasteriser in C++, faster on a CPU: compiled once, where there is a compiler, and called by ctypes."""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.renderer.splat.conventions import Conventions
from model.renderer.splat.native_library import library
from model.renderer.splat.pairs import Pairs, pairs_of
from model.renderer.splat.projection import Projected

TILE_PX = 16
"""As in native.cpp."""
_NAMES = {torch.float32: "f32", torch.float64: "f64"}


def composite(
    projected: Projected, colours: Tensor, opacities: Tensor, size_hw: tuple[int, int], conventions: Conventions
) -> tuple[Tensor, Tensor]:
    """Colours times alpha (B, H, W, C), and what is left of the background (B, H, W).

    Raises:
        ValueError: The tensors are not on the CPU.
        ImportError: The library cannot be built.
    """
    if colours.device.type != "cpu":
        raise ValueError(
            f"the rasteriser 'native' draws on the CPU, got tensors on {colours.device}: use 'tiles' there"
        )
    pairs = pairs_of(projected, size_hw, TILE_PX)
    shapes = torch.cat([projected.mean_px, projected.conic, opacities[..., None]], -1)
    return _Native.apply(shapes, projected.height_px, colours, pairs, size_hw, conventions)


class _Native(torch.autograd.Function):
    """Pictures (B, H, W, C) and (B, H, W)."""

    @staticmethod
    def forward(ctx, shapes: Tensor, heights: Tensor, colours: Tensor, *settings) -> tuple[Tensor, Tensor]:
        given = shapes.contiguous(), heights.contiguous(), colours.contiguous()
        _, (height, width), _ = settings
        image = colours.new_zeros(len(colours), height, width, colours.shape[2])
        left = colours.new_ones(len(colours), height, width)
        _call("forward", given, *settings, image, left)
        ctx.save_for_backward(*given)
        ctx.settings = settings
        return image, left

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_outputs):  # pyright: ignore[reportIncompatibleMethodOverride]
        shapes, heights, colours = ctx.saved_tensors
        gaussian, parts = ctx.settings[0].gaussian, [shapes.shape[2], colours.shape[2]]
        of_pairs = colours.new_empty(len(gaussian), sum(parts))
        given = (g.contiguous() for g in grad_outputs)
        _call("backward", (shapes, heights, colours), *ctx.settings, *given, of_pairs)
        total = colours.new_zeros(shapes.shape[0] * shapes.shape[1], sum(parts)).index_add_(0, gaussian, of_pairs)
        g_shapes, g_colours = total.unflatten(0, shapes.shape[:2]).split(parts, -1)
        return g_shapes, None, g_colours, None, None, None


def _call(
    way: str,
    gaussians: tuple[Tensor, Tensor, Tensor],
    pairs: Pairs,
    size_hw: tuple[int, int],
    conventions: Conventions,
    *tensors: Tensor,
) -> None:
    """Calls the library; tensors: what this way reads and writes besides."""
    colours = gaussians[-1]
    function: Callable[..., None] = getattr(library(), f"{way}_{_NAMES[colours.dtype]}")
    function(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (*gaussians, pairs.gaussian, pairs.first)),
        ctypes.c_int64(len(pairs.first) - 1),
        *(ctypes.c_int(number) for number in (colours.shape[2], *size_hw)),
        *(ctypes.c_double(x) for x in (conventions.alpha_min, conventions.alpha_max, conventions.stop_transmittance)),
        ctypes.c_int(torch.get_num_threads()),
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
    )
