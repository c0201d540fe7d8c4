"""What a drawn person is charged for beside the photo, as GUAVA was trained; the weights are the published ones.

Legend: B people, T texels, H = W the side of what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from model.imaging.camera import Camera, project
from model.renderer.guava.gaussians import Appearance
from model.renderer.guava.renderer import Picture
from model.renderer.part_windows import PARTS, Part
from model.renderer.perceptual.term import Perceptual, PerceptualConfig

CloseUps = Literal["crops", "cameras"]
_BOX_MARGIN = 0.1
"""Boxes of parts reach this share of their sides beyond the vertices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuavaLossConfig:
    """Terms and weights."""

    l1: float = 1.0
    """Mean absolute difference, of values in 0..1."""
    perceptual: float = 0.025
    """The perceptual term."""
    perceptual_later: float = 0.05
    """The same from `later_from` on."""
    later_from: int = 10_000
    """Steps after which the perceptual term has its later weight."""
    head: float = 0.25
    """Both terms once more on the head alone, as a share of their weights."""
    hand: float = 0.1
    """Likewise on each hand."""
    crop_px: int = 256
    """Side to which heads and hands are resized."""
    close_ups: CloseUps = "crops"
    """``crops``: heads and hands are cut from the picture of the person, as in the release. ``cameras``: each is drawn
    once more, by a camera of its own, and compared with the photo in the photo's resolution: three more pictures of a
    person."""
    offset: float = 0.01
    """How far texels lie from the surface beyond `offset_free`."""
    offset_free: float = 3.0
    """Distance that costs nothing, in sizes of the face."""
    scale: float = 1.0
    """How large Gaussians of texels are beyond `scale_free`."""
    scale_free: float = 0.6
    """Size that costs nothing, in sizes of the face."""
    masked_steps: int = 1000
    """Step, counted from 1, before which what the refiner draws beside the person costs nothing."""
    term: PerceptualConfig = field(default_factory=PerceptualConfig)
    """Which perceptual term. Published: ``{kind: lpips-alex, inputs: unmapped, batch: sum}``; the sum makes the weight
    six times as large at six people a batch, so a mean over the batch has `perceptual` 0.15 and 0.3 for the same."""

    def __post_init__(self) -> None:
        for name in ("l1", "perceptual", "perceptual_later", "head", "hand", "offset", "scale"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a weight of 0 or more, got {getattr(self, name)}")
        if self.close_ups not in get_args(CloseUps):
            raise ValueError(f"close_ups is one of {', '.join(get_args(CloseUps))}; got {self.close_ups!r}")
        if self.crop_px < 16:
            raise ValueError(f"crop_px: expected at least 16 px, got {self.crop_px}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseUp:
    """A part of some people, drawn by a camera of its own."""

    drawn: Picture
    """What is drawn."""
    target: Tensor
    """(B, 3, H, W) what the photo shows there, 0..1, black beside the person."""
    mask: Tensor
    """(B, 1, H, W) the person, 0..1."""


@torch.no_grad()
def part_boxes(vertices_m: Tensor, camera: Camera, parts: Mapping[Part, Tensor], side_px: int) -> dict[Part, Tensor]:
    """Boxes (B, 4) int64 of parts in a picture: left, top, right, bottom, the last two exclusive.

    A part that is not in the picture has a box without extent.

    Args:
        vertices_m: (B, V, 3) in the frame of the camera.
        camera: Of the picture.
        parts: Vertices of each.
        side_px: Of the picture.
    """
    pixels = project(vertices_m, camera)
    found: dict[Part, Tensor] = {}
    for name, ids in parts.items():
        low, high = pixels[:, ids].aminmax(dim=1)
        margin = _BOX_MARGIN * (high - low)
        box = torch.cat([(low - margin).floor(), (high + margin).ceil()], 1)
        found[name] = box.clamp(0, side_px).long()
    return found


def guava_loss(
    drawn: Picture,
    appearance: Appearance,
    target: Tensor,
    mask: Tensor,
    parts: Mapping[Part, Tensor] | Mapping[Part, CloseUp],
    step: int,
    config: GuavaLossConfig,
    perceptual: Perceptual,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and its weighted terms without gradient.

    Args:
        drawn: B pictures.
        appearance: Of whom they are.
        target: (B, 3, H, W) photos, 0..1, black beside the person.
        mask: (B, 1, H, W) the person, 0..1.
        parts: Boxes in the pictures, ``part_boxes``, or close-ups of those who show it; without it a part
            costs nothing.
        step: How many steps are done.
        config: Weights.
        perceptual: The term of ``config.term``.
    """
    weights = config.l1, config.perceptual if step < config.later_from else config.perceptual_later
    is_masked = step + 1 < config.masked_steps
    terms: dict[str, Tensor] = {}
    for name in ("refined", "raw"):
        picture = _layer(drawn, name, mask if is_masked else None)
        pairs = {name: (picture, target, 1.0)}
        for part in PARTS:
            share = config.head if part == "head" else config.hand
            where = parts.get(part) if share else None
            closely = None
            if isinstance(where, CloseUp):
                own = _layer(where.drawn, name, where.mask if is_masked else None)
                closely = _resized(own, config.crop_px), _resized(where.target, config.crop_px)
            elif where is not None:
                closely = _crops(picture, target, where, config.crop_px)
            if closely is not None:
                pairs[f"{name}_{part}"] = (*closely, share)
        for key, (ours, theirs, share) in pairs.items():
            terms[f"{key}_l1"] = weights[0] * share * (ours - theirs).abs().mean()
            terms[f"{key}_{config.term.name}"] = weights[1] * share * perceptual(ours, theirs)
    far = appearance.offsets.norm(dim=-1) - config.offset_free
    large = appearance.texels.scales - config.scale_free
    terms["offset"] = config.offset * F.relu(far).mean()
    terms["scale"] = config.scale * F.relu(large).norm(dim=-1).mean()
    return torch.stack(list(terms.values())).sum(), _grouped(terms)


def _layer(drawn: Picture, name: str, mask: Tensor | None) -> Tensor:
    """What the refiner draws, where there is a mask within it, or what is drawn before it."""
    if name == "raw":
        return drawn.raw
    return drawn.refined if mask is None else drawn.refined * mask


def _resized(picture: Tensor, side_px: int) -> Tensor:
    return F.interpolate(picture, (side_px, side_px), mode="bilinear")


def _crops(picture: Tensor, target: Tensor, boxes: Tensor, side_px: int) -> tuple[Tensor, Tensor] | None:
    """Boxes of both, resized, of those who have one; None where nobody has."""
    both = torch.cat([picture, target], 1)
    cut = [
        _resized(both[row : row + 1, :, top:bottom, left:right], side_px)
        for row, (left, top, right, bottom) in enumerate(boxes.tolist())
        if right > left and bottom > top
    ]
    if not cut:
        return None
    ours, theirs = torch.cat(cut).chunk(2, dim=1)
    return ours, theirs


def _grouped(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The terms of the curve: of whole pictures, of parts, and of the Gaussians; always the same names."""
    names = ("refined", "raw", "head", "hand", "offset", "scale")
    found = {name: torch.zeros_like(terms["offset"].detach()) for name in names}
    for key, value in terms.items():
        name = next(name for name in ("head", "hand", *names) if name in key)
        found[name] = found[name] + value.detach()
    return found
