"""Small scenes of random Gaussians."""

import shutil

import pytest
import torch
from torch import Tensor

from model.imaging.camera import Camera
from model.renderer.splat.conventions import Conventions
from model.renderer.splat.draw import Drawing, Rasteriser, draw
from model.renderer.splat.gaussians import Gaussians

FOCAL_PX = 40.0
NATIVE = pytest.param(
    "native",
    marks=pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="there is no C++ compiler"),
)
"""The rasteriser, where it can be built."""


def arguments(batch: int, number: int, channels: int, columns: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Fields of Gaussians in float64: from small to large, from faint to opaque, some outside the picture."""
    random = torch.Generator().manual_seed(seed)
    normal = torch.randn(batch, number, 3, generator=random, dtype=torch.float64)
    axes = torch.linalg.qr(torch.randn(batch, number, 3, 3, generator=random, dtype=torch.float64))[0]
    sizes = 0.01 + 0.15 * torch.rand(batch, number, 1, 3, generator=random, dtype=torch.float64)
    return {
        "centres_m": normal * torch.tensor([0.8, 0.8, 0.3]) + torch.tensor([0.0, 0.0, 2.5]),
        "factors_m": (axes * sizes)[..., :columns],
        "colours": torch.rand(batch, number, channels, generator=random, dtype=torch.float64),
        "opacities": 0.02 + 0.98 * torch.rand(batch, number, generator=random, dtype=torch.float64),
    }


def camera(batch: int, size_hw: tuple[int, int], dtype: torch.dtype, device: torch.device | str = "cpu") -> Camera:
    """Looks along z, the axis in the middle; each picture with a focal length of its own."""
    focal = FOCAL_PX + 3.0 * torch.arange(batch, dtype=dtype, device=device)
    middle = torch.tensor([[size_hw[1] / 2, size_hw[0] / 2]], dtype=dtype, device=device)
    return Camera(focal_px=focal, principal_px=middle.repeat(batch, 1))


def drawn(
    fields: dict[str, Tensor], size_hw: tuple[int, int], conventions: Conventions, rasteriser: Rasteriser
) -> Drawing:
    """Over a background of all different colours."""
    batch, _, channels = fields["colours"].shape
    kind = {"dtype": fields["colours"].dtype, "device": fields["colours"].device}
    background = torch.linspace(0.1, 0.9, channels, **kind)
    place = camera(batch, size_hw, **kind)
    return draw(
        Gaussians(**fields), place, size_hw, background=background, conventions=conventions, rasteriser=rasteriser
    )


def with_gradients(
    fields: dict[str, Tensor],
    dtype: torch.dtype,
    size_hw: tuple[int, int],
    conventions: Conventions,
    rasteriser: Rasteriser,
) -> dict[str, Tensor]:
    """Pictures, and the derivatives of a sum of them with random weights by all fields."""
    leaves = {name: tensor.detach().to(dtype, copy=True).requires_grad_() for name, tensor in fields.items()}
    result = drawn(leaves, size_hw, conventions, rasteriser)
    random = torch.Generator().manual_seed(1)
    weights = [torch.randn(part.shape, generator=random, dtype=torch.float64).to(part) for part in result]
    sum((weight * part).sum() for weight, part in zip(weights, result, strict=True)).backward()
    return {**result._asdict(), **{name: leaf.grad for name, leaf in leaves.items()}}
