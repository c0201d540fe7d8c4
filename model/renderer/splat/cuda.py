"""The CUDA rasteriser of the package gsplat 1.5 (Apache-2.0), where that is installed; it is given our tiles."""

import importlib
from collections.abc import Callable
from importlib.metadata import version

import torch
from torch import Tensor

from model.renderer.splat.conventions import GSPLAT, Conventions
from model.renderer.splat.pairs import pairs_of
from model.renderer.splat.projection import Projected

TILE_PX = 16
_BUILT_IN = ("alpha_max", "alpha_min", "stop_transmittance")
"""Conventions that its kernels hold as numbers."""


def composite(
    projected: Projected, colours: Tensor, opacities: Tensor, size_hw: tuple[int, int], conventions: Conventions
) -> tuple[Tensor, Tensor]:
    """Colours times alpha (B, H, W, C), and what is left of the background (B, H, W).

    Raises:
        ValueError: The tensors are not float32 on CUDA, or the conventions are not those of its kernels.
        ImportError: gsplat 1.5 is not installed.
    """
    if (colours.device.type, colours.dtype) != ("cuda", torch.float32):
        raise ValueError(
            f"the rasteriser 'gsplat' draws float32 on CUDA, got {colours.dtype} on {colours.device}: use 'tiles' there"
        )
    for name in _BUILT_IN:
        wanted, given = getattr(GSPLAT, name), getattr(conventions, name)
        if wanted != given:
            raise ValueError(
                f"the rasteriser 'gsplat' has {name} {wanted:g} built in, got {given:g}: draw with the conventions "
                "GSPLAT, or with 'tiles'"
            )
    return rasterised_by(_rasteriser(), projected, colours, opacities, size_hw)


def rasterised_by(
    rasterize_to_pixels: Callable[..., tuple[Tensor, Tensor]],
    projected: Projected,
    colours: Tensor,
    opacities: Tensor,
    size_hw: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Calls that function of gsplat with our tiles."""
    pairs = pairs_of(projected, size_hw, TILE_PX)
    image, alpha = rasterize_to_pixels(
        projected.mean_px,
        projected.conic,
        colours,
        opacities,
        size_hw[1],
        size_hw[0],
        TILE_PX,
        pairs.first[:-1].to(torch.int32).view(len(colours), *pairs.grid_hw),
        pairs.gaussian.to(torch.int32),
    )
    return image, 1.0 - alpha[..., 0]


def _rasteriser() -> Callable[..., tuple[Tensor, Tensor]]:
    """The function of the package."""
    try:
        found = version("gsplat")
        function = importlib.import_module("gsplat").rasterize_to_pixels
    except ImportError as error:
        raise ImportError(
            "the rasteriser 'gsplat' needs the package gsplat: `pip install 'gsplat>=1.5,<1.6'`, or draw with 'tiles'"
        ) from error
    if not found.startswith("1.5."):  # in 1.6 alpha_max is another
        raise ImportError(
            f"the rasteriser 'gsplat' needs gsplat 1.5, found {found}: `pip install 'gsplat>=1.5,<1.6'`, or draw with "
            "'tiles'"
        )
    return function
