"""Pictures of 3D Gaussians: the one function."""

import logging
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from model.imaging.camera import Camera
from model.renderer.splat import cuda, dense, native, tiles
from model.renderer.splat.conventions import EXACT, Conventions
from model.renderer.splat.gaussians import Gaussians
from model.renderer.splat.native_library import library
from model.renderer.splat.projection import project

log = logging.getLogger(__name__)

Rasteriser: TypeAlias = Literal["tiles", "native", "gsplat", "dense"]
"""`tiles`: PyTorch, on any device. `native`: C++, faster on a CPU, where a compiler is. `gsplat`: that package on CUDA,
in its conventions. `dense`: every Gaussian in every pixel, for comparisons."""
_COMPOSITE = {
    "tiles": tiles.composite,
    "native": native.composite,
    "gsplat": cuda.composite,
    "dense": dense.composite,
}


def fastest(device: torch.device) -> Rasteriser:
    """The fastest rasteriser for any conventions: `native` on a CPU where it can be built, else `tiles`, with a log."""
    if device.type != "cpu":
        return "tiles"
    try:
        library()
    except ImportError as error:
        log.info("%s; the latter is done now, and takes a few times as long", error)
        return "tiles"
    return "native"


class Drawing(NamedTuple):
    """Pictures with derivatives by all that they were made from."""

    colour: Tensor
    """(B, H, W, C), with the background."""
    alpha: Tensor
    """(B, H, W), 0..1: how much of the background is covered."""


def draw(
    gaussians: Gaussians,
    camera: Camera,
    size_hw: tuple[int, int],
    *,
    background: Tensor | None = None,
    conventions: Conventions = EXACT,
    rasteriser: Rasteriser = "tiles",
) -> Drawing:
    """Draws Gaussians from front to back.

    Args:
        gaussians: (B, N), C channels.
        camera: One for each picture (B,).
        size_hw: Height and width, pixels.
        background: (C,) colours; None: 0.
        conventions: Those of a published renderer, or the defaults.
        rasteriser: Which one; all draw the same, in one device's and type's precision.

    Raises:
        ValueError: Camera or background do not fit the Gaussians, or the size has no pixels;
            the rasteriser does not know the device, the type or the conventions.
        ImportError: The rasteriser is not installed, or cannot be built here.
    """
    _check(gaussians, camera, size_hw, background)
    if rasteriser not in _COMPOSITE:
        raise ValueError(f"expected a rasteriser of {', '.join(get_args(Rasteriser))}, got {rasteriser!r}")
    composite = _COMPOSITE[rasteriser]
    with torch.autocast(gaussians.colours.device.type, enabled=False):  # half precision has not the digits of a place
        projected = project(gaussians, camera, size_hw, conventions)
        colour, left = composite(projected, gaussians.colours, gaussians.opacities, size_hw, conventions)
        if background is not None:
            colour = colour + left[..., None] * background
    return Drawing(colour=colour, alpha=1.0 - left)


def _check(gaussians: Gaussians, camera: Camera, size_hw: tuple[int, int], background: Tensor | None) -> None:
    batch, channels = len(gaussians), gaussians.colours.shape[2]
    if min(size_hw) < 1:
        raise ValueError(f"expected a picture of at least 1 x 1 pixels, got height and width {size_hw}")
    if len(camera.focal_px) != batch:
        raise ValueError(f"expected a camera for each of {batch} pictures, got {len(camera.focal_px)}")
    wrong = ~(torch.isfinite(camera.focal_px) & (camera.focal_px > 0) & torch.isfinite(camera.principal_px).all(1))
    if wrong.any():
        raise ValueError(
            "expected a finite focal length above 0 and a finite principal point, got others for picture "
            f"{int(wrong.nonzero()[0])}"
        )
    if background is not None and background.shape != (channels,):
        raise ValueError(f"expected a background of {channels} channels, got shape {tuple(background.shape)}")
    colours = gaussians.colours
    for name, tensor in (("camera", camera.focal_px), ("camera", camera.principal_px), ("background", background)):
        if tensor is not None and (tensor.dtype, tensor.device) != (colours.dtype, colours.device):
            raise ValueError(
                f"expected the {name} in {colours.dtype} on {colours.device}, as the Gaussians are, "
                f"got {tensor.dtype} on {tensor.device}"
            )
