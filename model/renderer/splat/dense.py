"""Every Gaussian at every pixel, by autograd: what the other rasterisers are compared with. Small scenes only."""

import torch
from torch import Tensor

from model.renderer.splat.conventions import Conventions
from model.renderer.splat.projection import Projected


def composite(
    projected: Projected, colours: Tensor, opacities: Tensor, size_hw: tuple[int, int], conventions: Conventions
) -> tuple[Tensor, Tensor]:
    """Colours times alpha (B, H, W, C), and what is left of the background (B, H, W)."""
    images, left = zip(
        *(
            _picture(Projected(*(part[b] for part in projected)), colours[b], opacities[b], size_hw, conventions)
            for b in range(len(colours))
        ),
        strict=True,
    )
    return torch.stack(images), torch.stack(left)


def _picture(
    projected: Projected, colours: Tensor, opacities: Tensor, size_hw: tuple[int, int], conventions: Conventions
) -> tuple[Tensor, Tensor]:
    """One picture."""
    order = torch.argsort(projected.depth_m, stable=True)
    mean, conic, _, _, pixels = (part[order] for part in projected)
    rows, columns = (torch.arange(side, device=mean.device) for side in size_hw)
    y, x = (grid.reshape(-1, 1) for grid in torch.meshgrid(rows, columns, indexing="ij"))
    dx, dy = x + 0.5 - mean[:, 0], y + 0.5 - mean[:, 1]
    power = -0.5 * (conic[:, 0] * dx * dx + conic[:, 2] * dy * dy) - conic[:, 1] * dx * dy
    alpha = (opacities[order] * torch.exp(power)).clamp(max=conventions.alpha_max)
    seen = (x >= pixels[:, 0]) & (x < pixels[:, 2]) & (y >= pixels[:, 1]) & (y < pixels[:, 3])
    alpha = torch.where(seen & (alpha >= conventions.alpha_min), alpha, 0.0)
    alpha = torch.where(torch.cumprod(1.0 - alpha.detach(), 1) > conventions.stop_transmittance, alpha, 0.0)
    left = torch.cumprod(torch.cat([alpha.new_ones(len(x), 1), 1.0 - alpha], 1), 1)
    image = (alpha * left[:, :-1]) @ colours[order]
    return image.unflatten(0, size_hw), left[:, -1].unflatten(0, size_hw)
