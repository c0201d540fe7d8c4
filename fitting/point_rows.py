"""What the rows of the keypoints' Jacobian are: where a point is seen in an image, or all that is known of its place.

Legend: B people (last in memory), N keypoints, r rows a keypoint.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from model.batches import map_tensors


class PointRows(Protocol):
    """What the rows of the Jacobian are of the motion w of each point, people last: r rows a point, linear in w."""

    @property
    def size(self) -> int:
        """Number r of rows of a point."""
        ...

    def of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, r, ..., B) of vectors whose components are (N, ..., B)."""
        ...

    def of_people_first(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (B, N, r, n) of vectors whose components are (B, N, n)."""
        ...

    def of_turns(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, r, 3, B) of -[v]x, what turns do to vectors with components (N, B)."""
        ...

    def of_shifts(self) -> Tensor:
        """Rows (N, r, 3, B) of shifts along x, y and z."""
        ...


Rows = TypeVar("Rows", bound=PointRows)


def rows_of(rows: Rows, points: slice) -> Rows:
    """The rows of some points."""
    return map_tensors(rows, lambda value: value[points])


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionRows:
    """Projection of each point into one image: gain (w_x - ray_x w_z), and so for y."""

    ray_x: Tensor
    """(N, B) x / z."""
    ray_y: Tensor
    gain: Tensor
    """(N, B) focal length times the square root of the weight, over the depth."""

    @property
    def size(self) -> int:
        return 2

    def of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 2, ..., B) of vectors whose components are (N, ..., B)."""
        extra = [1] * (x.dim() - 2)
        mu, nu, gain = (v.view(len(v), *extra, -1) for v in (self.ray_x, self.ray_y, self.gain))
        return torch.stack([(x - mu * z) * gain, (y - nu * z) * gain], 1)

    def of_turns(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 2, 3, B) of -P [v]x for vectors with components (N, B)."""
        mu, nu, gain = self.ray_x, self.ray_y, self.gain
        entries = [-mu * y, z + mu * x, -y, -nu * y - z, nu * x, x]
        return (torch.stack(entries, 1) * gain[:, None]).unflatten(1, (2, 3))

    def of_shifts(self) -> Tensor:
        """Rows (N, 2, 3, B) of shifts along the axes."""
        zero = torch.zeros_like(self.gain)
        moved = [self.gain, zero, -self.ray_x * self.gain, zero, self.gain, -self.ray_y * self.gain]
        return torch.stack(moved, 1).unflatten(1, (2, 3))

    def of_people_first(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (B, N, r, n) of vectors whose components are (B, N, n)."""
        mu, nu, gain = (value.T[..., None] for value in (self.ray_x, self.ray_y, self.gain))
        return torch.stack([(x - mu * z) * gain, (y - nu * z) * gain], 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldedRows:
    """All that is known of where a point is, as one upper triangle U of three rows: U w. `fitting.sightings` folds."""

    xx: Tensor
    """(N, B) entries of the triangle."""
    xy: Tensor
    xz: Tensor
    yy: Tensor
    yz: Tensor
    zz: Tensor

    @property
    def size(self) -> int:
        return 3

    def of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 3, ..., B) of vectors whose components are (N, ..., B)."""
        extra = [1] * (x.dim() - 2)
        xx, xy, xz, yy, yz, zz = (value.view(len(value), *extra, -1) for value in self._entries)
        return torch.stack([xx * x + xy * y + xz * z, yy * y + yz * z, zz * z], 1)

    def of_people_first(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (B, N, 3, n) of vectors whose components are (B, N, n)."""
        xx, xy, xz, yy, yz, zz = (value.T[..., None] for value in self._entries)
        return torch.stack([xx * x + xy * y + xz * z, yy * y + yz * z, zz * z], 2)

    def of_turns(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Rows (N, 3, 3, B) of -[v]x for vectors with components (N, B)."""
        xx, xy, xz, yy, yz, zz = self._entries
        zero = torch.zeros_like(x)
        entries = [xz * y - xy * z, xx * z - xz * x, xy * x - xx * y, yz * y - yy * z, -yz * x, yy * x]
        return torch.stack([*entries, zz * y, -zz * x, zero], 1).unflatten(1, (3, 3))

    def of_shifts(self) -> Tensor:
        """Rows (N, 3, 3, B) of shifts along the axes."""
        xx, xy, xz, yy, yz, zz = self._entries
        zero = torch.zeros_like(xx)
        return torch.stack([xx, xy, xz, zero, yy, yz, zero, zero, zz], 1).unflatten(1, (3, 3))

    @property
    def _entries(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        return self.xx, self.xy, self.xz, self.yy, self.yz, self.zz
