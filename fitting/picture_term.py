"""Pixels as a term of the least-squares problem: the picture of one part of a person, drawn, against the photo.

Drawn are flat Gaussians on the mesh, coloured by a texture that was learnt over people (`model.renderer.texture`). What
the person looks like is not known. Near the looks found last the colours are linear in them, so that they are
eliminated from the problem, with what is known of people as their prior: with D the drawn directions of looks, r the
difference of the pictures, W the weights of pixels and q the looks, the cost is

    min over d of  |W^1/2 (r + D d)|^2 + |q + d|^2

Colours never come from the pixels that a pose falls on but through that prior, at every pose anew: a wrong pose cannot
explain itself by painting the body with what lies behind it. The weights are robust ones, found at the start.

The derivative of the drawn picture is what the motion of the surface makes of its gradient, and what the turn of the
surface makes of its brightness; motion and brightness are drawn like colours, in further channels.

Legend: B people, H a side of the picture, N = 3 H^2 values of it, of which U have a weight, K directions of looks, P
free unknowns, M vertices of the part, S its sites.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fitting.forward import Forward
from fitting.keypoint_term import geman_mcclure
from fitting.picture_parts import PicturePart, one_by_one
from fitting.terms import NormalEquations
from fitting.unknowns import State, retract
from model.batches import map_tensors, take_rows
from model.imaging.camera import Camera, project
from model.renderer.splat.draw import Rasteriser

_STEP = 1e-3
"""Of the unknowns, for differences of the vertices."""
_COVERED = 0.98
"""Share of a pixel that the drawn part covers where it counts."""
_ROUNDS = 4
"""Fits of the looks, each with the weights that follow from the one before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Pictures of one part of B people."""

    rgb: Tensor
    """(B, H, H, 3), 0..1."""
    known: Tensor
    """(B, H, H) 1 where the picture shows this person, as far as is known, else 0."""
    camera: Camera
    """The cameras of the pictures (B,), in their px."""


class _Drawn(NamedTuple):
    """One person's part."""

    picture: Tensor
    """(N,) with the looks found last."""
    directions: Tensor
    """(N, K) what a change of looks adds."""
    further: Tensor
    """(H^2, C) other channels."""
    covered: Tensor
    """(H, H) 0..1."""


class _Explained(NamedTuple):
    """A picture explained by the likeliest looks at some pose."""

    change: Tensor
    """(K,) d."""
    residual: Tensor
    """(U,) r + D d."""
    weight: Tensor
    """(U,) W."""
    directions: Tensor
    """(U, K) D."""
    normal: Tensor
    """(K, K) D^T W D + 1."""
    used: Tensor
    """(U / 3,) which pixels these are."""


class PictureTerm:
    """The pictures of one part of B people; costs are in squared standard deviations, as those of all terms."""

    def __init__(self, part: PicturePart, pictures: Pictures, looks: Tensor, weight: Tensor, rasteriser: Rasteriser):
        """Use `settled`.

        Args:
            part: what is drawn.
            pictures: what that is compared with.
            looks: (B, K), in standard deviations from the mean.
            weight: (B, H, H) of pixels, 0..1.
            rasteriser: how Gaussians are drawn.
        """
        self.part, self.pictures, self.looks, self.weight = part, pictures, looks, weight
        self.rasteriser: Rasteriser = rasteriser

    @classmethod
    def settled(
        cls, part: PicturePart, pictures: Pictures, state: State, rasteriser: Rasteriser
    ) -> tuple["PictureTerm", Tensor]:
        """The term about the pose of a state, and the loss there (B,); see `resettled`.

        Args:
            part: what is drawn.
            pictures: what that is compared with.
            state: poses of the people.
            rasteriser: how Gaussians are drawn.
        """
        weight = pictures.known
        term = cls(part, pictures, weight.new_zeros(len(weight), part.num_looks), weight, rasteriser)
        covered = torch.stack([term._drawn(k, posed, term.looks[k]).covered for k, posed in term._posed(state)])
        margin = part.settings.outline_px
        beyond = (covered < _COVERED).to(weight)[:, None]
        term.weight = weight * (1 - F.max_pool2d(beyond, 2 * margin + 1, 1, margin)[:, 0])
        return term.resettled(state)

    def resettled(self, state: State) -> tuple["PictureTerm", Tensor]:
        """The term with the looks and weights of other poses, among the same pixels, and the loss of the pictures (B,).

        The loss is the mean over the pixels: 0 where everything is explained, 1 where nothing is, and where there are
        no pixels.
        """
        looks, weights, losses = (
            self.looks.clone(),
            torch.zeros_like(self.weight),
            self.weight.new_ones(len(self.looks)),
        )
        for k, posed in self._posed(state):
            weight = (self.weight[k] > 0).to(self.weight)
            for _ in range(_ROUNDS if weight.any() else 0):
                drawn = self._drawn(k, posed, looks[k])
                found = self._explained(k, drawn, looks[k], weight)
                looks[k] += found.change
                squared = found.residual.view(-1, 3).square().mean(1)
                loss, share = geman_mcclure(squared, self.part.robust)
                weight = torch.zeros_like(weight).flatten().index_copy_(0, found.used, share).view_as(weight)
                losses[k] = loss.mean() / self.part.robust**2
            weights[k] = weight
        return PictureTerm(self.part, self.pictures, looks, weights, self.rasteriser), losses

    def take_rows(self, index: Tensor) -> "PictureTerm":
        """The same term for some of the people."""
        pictures = take_rows(self.pictures, index)
        return PictureTerm(self.part, pictures, self.looks[index], self.weight[index], self.rasteriser)

    def cost(self, state: State, forward: Forward) -> Tensor:
        """(B,)."""
        costs = self.weight.new_zeros(len(self.weight))
        for k, posed in self._posed(state):
            looks = self.looks[k]
            found = self._explained(k, self._drawn(k, posed, looks), looks, self.weight[k])
            costs[k] = (found.weight * found.residual.square()).sum() + (looks + found.change).square().sum()
        return costs

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds this term in place."""
        free = self.part.columns
        for k, posed in self._posed(state):
            moves = self._moves(k, state, forward, posed)
            drawn = self._drawn(k, posed, self.looks[k], moves)
            found = self._explained(k, drawn, self.looks[k], self.weight[k])
            jacobian = self._jacobian(drawn, found)
            weighted = jacobian * found.weight[:, None]
            coupling = weighted.T @ found.directions
            hessian = weighted.T @ jacobian - coupling @ torch.linalg.solve(found.normal, coupling.T)
            normal.gradient[k, free] += (weighted.T @ found.residual[:, None])[:, 0]
            normal.hessian[k, free[:, None], free] += (hessian + hessian.T) / 2

    def drawn(self, state: State) -> Tensor:
        """Pictures (B, H, H, 3) of the part at other poses with the looks found last, on black."""
        size = self.weight.shape[-1]
        rows = [self._drawn(k, posed, self.looks[k]).picture for k, posed in self._posed(state)]
        return torch.stack(rows).view(-1, size, size, 3)

    # --- one person ---------------------------------------------------------------------------------------------------
    def _posed(self, state: State) -> Iterator[tuple[int, Tensor]]:
        """Vertices (1, M, 3) of one person after the other: the channels of many would fill the memory."""
        yield from enumerate(self.part.vertices(one) for one in one_by_one(state))

    def _camera(self, k: int) -> Camera:
        camera = self.pictures.camera
        return Camera(focal_px=camera.focal_px[k : k + 1], principal_px=camera.principal_px[k : k + 1])

    def _drawn(self, k: int, posed: Tensor, looks: Tensor, further: Tensor | None = None) -> _Drawn:
        """Draws looks (K,), their directions, and further channels (S, C)."""
        size, count = self.weight.shape[-1], 3 * (1 + self.part.num_looks)
        colours, directions = self.part.colours(posed, looks)
        channels = torch.cat([colours[:, None], directions], 1).flatten(1)
        if further is not None:
            channels = torch.cat([channels, self.part.surface(looks), further], 1)
        drawing = self.part.renderer.draw(
            posed, channels[None], self._camera(k), (size, size), rasteriser=self.rasteriser
        )
        values = drawing.colour[0].flatten(0, 1)
        looks_first = values[:, :count].unflatten(1, (-1, 3)).transpose(1, 2).flatten(0, 1)
        return _Drawn(looks_first[:, 0], looks_first[:, 1:], values[:, count:], drawing.alpha[0])

    def _explained(self, k: int, drawn: _Drawn, looks: Tensor, weight: Tensor) -> _Explained:
        """The picture by the likeliest looks, about those it was drawn with (K,); weights of pixels (H, H)."""
        used = torch.nonzero(weight.flatten()).squeeze(1)
        precision = (weight.flatten()[used] / self.part.settings.sigma**2).repeat_interleave(3)
        directions = drawn.directions.view(-1, 3, drawn.directions.shape[1])[used].flatten(0, 1)
        residual = (drawn.picture.view(-1, 3)[used] - self.pictures.rgb[k].view(-1, 3)[used]).flatten()
        weighted = directions * precision[:, None]
        normal = weighted.T @ directions + torch.eye(len(looks)).to(looks)
        pull = weighted.T @ residual[:, None] + looks[:, None]
        change = -torch.linalg.solve(normal, pull)
        return _Explained(
            change=change[:, 0],
            residual=residual + (directions @ change)[:, 0],
            weight=precision,
            directions=directions,
            normal=normal,
            used=used,
        )

    def _moves(self, k: int, state: State, forward: Forward, posed: Tensor) -> Tensor:
        """What a step of each free unknown does to the sites (S, 3 P): px to the right, px down, and brightness."""
        part = self.part
        count = len(part.columns)
        row = torch.tensor([k], device=posed.device)

        def repeated(value: Tensor) -> Tensor:
            return value.expand(count, *value.shape[1:])

        layout = part.body.layout
        steps = posed.new_zeros(count, layout.size)
        steps[torch.arange(count), part.columns] = _STEP
        rotations = repeated(forward.rotations[k : k + 1])
        moved = part.vertices(retract(map_tensors(take_rows(state, row), repeated), steps, rotations, layout))
        view = self._camera(k)
        everywhere = Camera(focal_px=repeated(view.focal_px), principal_px=repeated(view.principal_px))
        motion = (project(moved, everywhere) - project(posed, view)) / _STEP
        light = part.light(self.looks[k])
        turned = (part.brightness(moved, light) - part.brightness(posed, light)) / _STEP
        of_vertices = torch.cat([motion[..., 0], motion[..., 1], turned]).T
        return part.renderer.sites.at(of_vertices[None])[0]

    def _jacobian(self, drawn: _Drawn, found: _Explained) -> Tensor:
        """Derivative (U, P) of the drawn picture in its likeliest looks."""
        size = self.weight.shape[-1]
        picture = (drawn.picture + drawn.directions @ found.change).view(size, size, 3)
        slope_x, slope_y = torch.zeros_like(picture), torch.zeros_like(picture)
        slope_x[:, 1:-1] = (picture[:, 2:] - picture[:, :-2]) / 2
        slope_y[1:-1] = (picture[2:] - picture[:-2]) / 2
        surface, moves = drawn.further[found.used].split([3, drawn.further.shape[1] - 3], 1)
        right, down, brighter = moves[:, None].chunk(3, -1)
        slope_x, slope_y = (slope.view(-1, 3, 1)[found.used] for slope in (slope_x, slope_y))
        return (surface[..., None] * brighter - slope_x * right - slope_y * down).flatten(0, 1)
