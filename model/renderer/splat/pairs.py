"""Which tile of a picture looks at which Gaussians, in the order of drawing."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.renderer.splat.projection import Projected


class Pairs(NamedTuple):
    """All M pairs of a tile and a Gaussian, of a batch of B pictures of T tiles each."""

    gaussian: Tensor
    """(M,) int64, b * N + n, sorted by tile, then by depth."""
    first: Tensor
    """(B T + 1,) int64: the pairs of tile t are first[t] to first[t + 1]."""
    tile_px: int
    """Side of a tile."""
    grid_hw: tuple[int, int]
    """Tiles of a picture; T = rows x columns, row by row."""


@torch.no_grad()
def pairs_of(projected: Projected, size_hw: tuple[int, int], tile_px: int) -> Pairs:
    """The pairs of a batch of pictures of H x W pixels; Gaussians of one depth stay in the order given."""
    rows, columns = -(-size_hw[0] // tile_px), -(-size_hw[1] // tile_px)
    device, (batch, number) = projected.pixels.device, projected.depth_m.shape
    pixels = projected.pixels.reshape(-1, 4)
    drawn = torch.nonzero((pixels[:, 2:] > pixels[:, :2]).all(1)).squeeze(1)
    drawn = drawn[torch.argsort(projected.depth_m.detach().reshape(-1)[drawn], stable=True)]
    low = torch.div(pixels[drawn, :2], tile_px, rounding_mode="floor")
    span = torch.div(pixels[drawn, 2:] - 1, tile_px, rounding_mode="floor") - low + 1
    count = span.prod(1)
    owner = torch.repeat_interleave(torch.arange(len(drawn), device=device), count)
    within = torch.arange(len(owner), device=device) - (torch.cumsum(count, 0) - count)[owner]
    width = span[owner, 0]
    row = torch.div(within, width, rounding_mode="floor")
    picture = torch.div(drawn, number, rounding_mode="floor")
    corner = (picture * rows + low[:, 1]) * columns + low[:, 0]
    tile, order = torch.sort(corner[owner] + row * columns + (within - row * width), stable=True)
    first = torch.searchsorted(tile, torch.arange(batch * rows * columns + 1, device=device))
    return Pairs(gaussian=drawn[owner[order]], first=first, tile_px=tile_px, grid_hw=(rows, columns))
