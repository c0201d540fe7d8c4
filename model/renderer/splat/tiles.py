"""The rasteriser in PyTorch alone, on any device: tiles of as many Gaussians go together through matrix products.

Nothing is kept for the way back but the arguments: alphas are computed again there.
Letters: t tiles of a bucket, K slots of a tile (Gaussians, front to back), P pixels of a tile, C channels.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.renderer.splat.conventions import Conventions
from model.renderer.splat.pairs import Pairs, pairs_of
from model.renderer.splat.projection import Projected

TILE_PX = 8
"""Larger tiles look at more pixels for nothing; the blocks of published boxes are whole tiles."""
BUCKET_VALUES = 1 << 18
"""Alphas that are held at a time, so that they stay in the processor's cache."""


def composite(
    projected: Projected, colours: Tensor, opacities: Tensor, size_hw: tuple[int, int], conventions: Conventions
) -> tuple[Tensor, Tensor]:
    """Colours times alpha (B, H, W, C), and what is left of the background (B, H, W)."""
    pairs = pairs_of(projected, size_hw, TILE_PX)
    shapes = torch.cat([projected.mean_px, projected.conic, opacities[..., None]], -1)
    image, left = _Tiles.apply(shapes, colours, pairs, conventions)
    height, width = size_hw
    return image[:, :height, :width], left[:, :height, :width, 0]


class _Tiles(torch.autograd.Function):
    """Pictures of whole tiles, (B, rows x 8, columns x 8, C) and (B, rows x 8, columns x 8, 1)."""

    @staticmethod
    def forward(ctx, shapes: Tensor, colours: Tensor, pairs: Pairs, conventions: Conventions) -> tuple[Tensor, Tensor]:
        rows, columns = pairs.grid_hw
        image = colours.new_zeros(len(colours), rows * TILE_PX, columns * TILE_PX, colours.shape[2])
        left = colours.new_ones(*image.shape[:3], 1)
        image_tiles, left_tiles = _by_tile(image, pairs), _by_tile(left, pairs)
        flat = colours.flatten(0, 1)
        for bucket in _buckets(shapes, pairs):
            _, alpha, before, last = bucket.alphas(conventions)
            weight = before.mul_(alpha)
            drawn = weight.transpose(1, 2) @ flat.index_select(0, bucket.gaussian).unflatten(0, alpha.shape[:2])
            image_tiles[bucket.place] = drawn.unflatten(1, (TILE_PX, TILE_PX))
            left_tiles[bucket.place] = last.unflatten(1, (TILE_PX, TILE_PX))[..., None]
        ctx.save_for_backward(shapes, colours)
        ctx.pairs, ctx.conventions = pairs, conventions
        return image, left

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_outputs):  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.autocast(grad_outputs[0].device.type, enabled=False):
            return *_Tiles._gradients(ctx, *grad_outputs), None, None

    @staticmethod
    def _gradients(ctx, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        shapes, colours = ctx.saved_tensors
        image_tiles, left_tiles = (_by_tile(g.contiguous(), ctx.pairs) for g in grad_outputs)
        flat = colours.flatten(0, 1)
        g_shapes, g_colours = torch.zeros_like(shapes).flatten(0, 1), torch.zeros_like(flat)
        for bucket in _buckets(shapes, ctx.pairs):
            monomials, alpha, before, last = bucket.alphas(ctx.conventions)
            g = image_tiles[bucket.place].flatten(1, 2)  # (t, P, C)
            rest = left_tiles[bucket.place].flatten(1) * last
            weight = before * alpha
            g_colours.index_add_(0, bucket.gaussian, (weight @ g).flatten(0, 1))
            dot = flat.index_select(0, bucket.gaussian).unflatten(0, alpha.shape[:2]) @ g.transpose(1, 2)
            shown = weight.mul_(dot)
            behind = (shown.sum(1) + rest)[:, None] - torch.cumsum(shown, 1)
            g_alpha = before.mul_(dot).sub_(behind.div_(1.0 - alpha))
            if bool((bucket.opacity > ctx.conventions.alpha_max).any()):
                g_alpha.mul_(alpha < ctx.conventions.alpha_max)
            g_shapes.index_add_(0, bucket.gaussian, bucket.backward(g_alpha.mul_(alpha), monomials).flatten(0, 1))
        return g_shapes.view_as(shapes), g_colours.view_as(colours)


def _by_tile(image: Tensor, pairs: Pairs) -> Tensor:
    """A view (B, rows, columns, 8, 8, C) of pictures of whole tiles."""
    rows, columns = pairs.grid_hw
    return image.view(len(image), rows, TILE_PX, columns, TILE_PX, -1).transpose(2, 3)


class _Bucket(NamedTuple):
    """Tiles of about as many Gaussians."""

    place: tuple[Tensor, Tensor, Tensor]
    """Picture, row and column of each tile, (t,)."""
    gaussian: Tensor
    """(t K,)."""
    mean: Tensor
    """(t, K, 2) from the tile's middle: near numbers keep their digits."""
    conic: Tensor
    """(t, K, 3)."""
    opacity: Tensor
    """(t, K), 0 in slots that hold none."""

    def alphas(self, conventions: Conventions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Monomials (6, P); alpha and the share that is left before it, both (t, K, P); what is left at last (t, P)."""
        a, b, c = self.conic.unbind(-1)
        x, y = self.mean.unbind(-1)
        ax, ay = a * x + b * y, b * x + c * y
        coefficients = torch.stack([-0.5 * a, -b, -0.5 * c, ax, ay, -0.5 * (ax * x + ay * y)], -1)
        monomials = _monomials(coefficients)
        alpha = (coefficients @ monomials).exp_().mul_(self.opacity[..., None]).clamp_(max=conventions.alpha_max)
        torch.threshold_(alpha, _below(conventions.alpha_min, alpha.dtype), 0.0)
        if conventions.stop_transmittance:
            alpha.mul_(torch.cumprod(1.0 - alpha, 1) > conventions.stop_transmittance)
        left = alpha.new_empty(alpha.shape[0], alpha.shape[1] + 1, alpha.shape[2])
        left[:, 0] = 1.0
        torch.cumprod(1.0 - alpha, 1, out=left[:, 1:])
        return monomials, alpha, left[:, :-1], left[:, -1]

    def backward(self, g_power: Tensor, monomials: Tensor) -> Tensor:
        """From the gradient of the logarithm of alpha (t, K, P): that of mean, conic and opacity (t, K, 6)."""
        xx, xy, yy, x, y, one = (g_power @ monomials.T).unbind(-1)
        a, b, c = self.conic.unbind(-1)
        mx, my = self.mean.unbind(-1)
        # Sums of dx, dy, dx dx, dx dy and dy dy, with d from the mean.
        dx, dy = x - mx * one, y - my * one
        dxx, dxy, dyy = xx - mx * (x + dx), xy - my * x - mx * dy, yy - my * (y + dy)
        g_opacity = one / torch.where(self.opacity > 0, self.opacity, 1.0)
        return torch.stack([a * dx + b * dy, b * dx + c * dy, -0.5 * dxx, -dxy, -0.5 * dyy, g_opacity], -1)


def _buckets(shapes: Tensor, pairs: Pairs) -> Iterator[_Bucket]:
    """All tiles that look at something."""
    rows, columns = pairs.grid_hw
    flat, count = shapes.flatten(0, 1), pairs.first.diff()
    tiles = torch.argsort(count, stable=True)
    sizes = count[tiles].tolist()
    begin = next((i for i, size in enumerate(sizes) if size), len(sizes))
    while begin < len(sizes):
        end = begin + 1
        most = 1.25 * sizes[begin] + 4
        while end < len(sizes) and sizes[end] <= most and sizes[end] * (end + 1 - begin) * TILE_PX**2 <= BUCKET_VALUES:
            end += 1
        chosen = tiles[begin:end]
        slot = torch.arange(sizes[end - 1], device=tiles.device)
        pair = (pairs.first[chosen][:, None] + slot).clamp(max=len(pairs.gaussian) - 1)
        gaussian = pairs.gaussian[pair.flatten()]
        picture = torch.div(chosen, rows * columns, rounding_mode="floor")
        row = torch.div(chosen, columns, rounding_mode="floor") % rows
        column = chosen % columns
        middle = (torch.stack([column, row], -1) * TILE_PX + TILE_PX / 2).to(flat)
        mean, conic, opacity = flat.index_select(0, gaussian).unflatten(0, pair.shape).split([2, 3, 1], -1)
        yield _Bucket(
            place=(picture, row, column),
            gaussian=gaussian,
            mean=mean - middle[:, None],
            conic=conic,
            opacity=opacity[..., 0] * (slot < count[chosen][:, None]),
        )
        begin = end


def _monomials(like: Tensor) -> Tensor:
    """xx, xy, yy, x, y and 1 at the pixels of a tile (6, P), from its middle."""
    at = torch.arange(TILE_PX, dtype=like.dtype, device=like.device) + 0.5 - TILE_PX / 2
    y, x = (grid.flatten() for grid in torch.meshgrid(at, at, indexing="ij"))
    return torch.stack([x * x, x * y, y * y, x, y, torch.ones_like(x)])


def _below(value: float, dtype: torch.dtype) -> float:
    """The next smaller number of a type: the threshold of torch keeps what is larger."""
    number = torch.tensor(value, dtype=dtype)
    return float(torch.nextafter(number, torch.full_like(number, -torch.inf)))
