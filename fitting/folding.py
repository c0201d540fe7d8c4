"""Lines of sight to a point folded into one 3 x 3 information, and what is known with it.

Seen by a camera with rotation R, a point moves in the image by A = gain [R_x - m_x R_z; R_y - m_y R_z], R_x the first
row of R and m its place in the image at unit focal length. With residuals r, all cameras of a point fold into

    W = sum A^T A,    g = sum A^T r,    W = U^T U,    e = U^-T g

so that three rows U with residuals e say all that any number of cameras say. Every number is a tensor of its own, so
that a person gets the same bits in a batch of any size.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fitting.point_rows import FoldedRows

_MIN_PIVOT = 1e-6
"""Share of a diagonal entry that is left of it, below which a direction is taken for unknown: rounding."""


class SightRows(NamedTuple):
    """How points move in the images: components of the two rows of A, each (..., V, N)."""

    x: tuple[Tensor, Tensor, Tensor]
    y: tuple[Tensor, Tensor, Tensor]


class Folded(NamedTuple):
    """What is known of points (..., N)."""

    information: tuple[Tensor, ...]
    """W: xx, xy, xz, yy, yz, zz."""
    pull: tuple[Tensor, ...]
    """g: x, y, z."""

    def plus(self, weight: Tensor, pull: Tensor) -> "Folded":
        """The same with places known in 3D: weight (..., N) one over a variance, pull (..., N, 3)."""
        xx, xy, xz, yy, yz, zz = self.information
        together = tuple(own + more for own, more in zip(self.pull, pull.unbind(-1), strict=True))
        return Folded((xx + weight, xy, xz, yy + weight, yz, zz + weight), together)

    def summed(self) -> "Folded":
        """The sum over the points: what is known of one shift of all of them, (..., 1)."""
        information, pull = (tuple(value.sum(-1, keepdim=True) for value in part) for part in self)
        return Folded(information, pull)


def sight_rows(rotation: Tensor, ray_x: Tensor, ray_y: Tensor, gain: Tensor) -> SightRows:
    """A of cameras with rotations (..., V, 3, 3), at places and with gains (..., V, N)."""

    def row(axis: int, ray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second, third = (
            gain * (rotation[..., axis, k, None] - ray * rotation[..., 2, k, None]) for k in range(3)
        )
        return first, second, third

    return SightRows(row(0, ray_x), row(1, ray_y))


def fold(rows: SightRows, residual_x: Tensor, residual_y: Tensor) -> Folded:
    """W and g over the cameras of (..., V, N)."""
    x, y = rows
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    information = tuple((x[i] * x[j] + y[i] * y[j]).sum(-2) for i, j in pairs)
    pull = tuple((x[i] * residual_x + y[i] * residual_y).sum(-2) for i in range(3))
    return Folded(information, pull)


def fold_lines(rotation: Tensor, ray: Tensor, gain: Tensor, at: tuple[Tensor, Tensor, Tensor]) -> Folded:
    """W and g of points that are to lie on the lines along which cameras see them: linear, wherever the points are.

    Args:
        rotation: (..., V, 3, 3) of the cameras.
        ray: (..., V, N, 2) where they see the points, at unit focal length.
        gain: (..., V, N) weight of the distance from the line; times the depth, focal length over sigma.
        at: x, y and z (..., V, N) of the points in the frames of the cameras; of points at the origin the shifts.
    """
    (ray_x, ray_y), (x, y, z) = ray.unbind(-1), at
    return fold(sight_rows(rotation, ray_x, ray_y, gain), (x - ray_x * z) * gain, (y - ray_y * z) * gain)


def triangle(folded: Folded) -> tuple[FoldedRows, Tensor]:
    """U and e (..., N, 3); rows of zeros in directions of which nothing is known."""
    xx, xy, xz, yy, yz, zz = folded.information
    x, y, z = folded.pull

    def inverse_root(pivot: Tensor, whole: Tensor) -> Tensor:
        known = pivot > _MIN_PIVOT * whole
        return torch.where(known, torch.where(known, pivot, torch.ones_like(pivot)).rsqrt(), 0.0)

    first = inverse_root(xx, xx)
    uxy, uxz, ex = xy * first, xz * first, x * first
    left = yy - uxy * uxy
    second = inverse_root(left, yy)
    uyz, ey = (yz - uxy * uxz) * second, (y - uxy * ex) * second
    last = zz - uxz * uxz - uyz * uyz
    third = inverse_root(last, zz)
    ez = (z - uxz * ex - uyz * ey) * third
    rows = FoldedRows(xx=xx * first, xy=uxy, xz=uxz, yy=left * second, yz=uyz, zz=last * third)
    return rows, torch.stack([ex, ey, ez], -1)


def solved(folded: Folded) -> Tensor:
    """The shifts -W^-1 g (..., N, 3) that meet the residuals best; NaN where W has no inverse."""
    rows, residual = triangle(folded)
    x, y, z = residual.unbind(-1)
    z = z / rows.zz
    y = (y - rows.yz * z) / rows.yy
    x = (x - rows.xy * y - rows.xz * z) / rows.xx
    return -torch.stack([x, y, z], -1)
