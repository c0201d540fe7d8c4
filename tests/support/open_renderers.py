"""The open body drawn by a made-up texture: quick, and enough to draw somebody and find them again."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.body.assets import load_open_body
from model.renderer.part_windows import Part
from model.renderer.perceptual.term import build_perceptual
from model.renderer.photometric import PartPictures, Photometric, PhotometricConfig
from model.renderer.sites import Sites
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture


@functools.cache
def open_renderer(num_directions: int = 3) -> TextureRenderer:
    """One Gaussian a triangle; colours are waves over the body at rest, red lips included."""
    body = load_open_body().smplx
    faces = torch.from_numpy(np.asarray(body.faces, np.int64))
    rest = torch.from_numpy(np.asarray(body.v_template)).float()
    sites = Sites.spread(faces, rest, torch.full((len(faces),), torch.inf))
    places, random = sites.at(rest[None])[0], torch.Generator().manual_seed(0)
    waves = [torch.sin(places @ torch.randn(3, 3, generator=random) * 60.0) for _ in range(num_directions + 1)]
    texture = Texture(0.5 + 0.25 * waves[0], 0.05 * torch.stack(waves[1:]), torch.zeros(len(rest)))
    return TextureRenderer(faces, sites, texture)


def photometric(parts: tuple[Part, ...] = ("head",), focal_sides: float = 5000 / 256, **config: float) -> Photometric:
    """The objective on pictures by that renderer; ``config`` is that of ``PhotometricConfig``."""
    stated = PhotometricConfig(**config)  # pyright: ignore
    term = build_perceptual(stated.term)
    return Photometric(load_open_body(), DEFAULT_SIZE, open_renderer(), stated, term, parts, focal_sides)


def noise_pictures(count: int, size: int, seed: int) -> PartPictures:
    """Noise for pictures of a part, in the middle of the crop."""
    random = torch.Generator().manual_seed(seed)
    return PartPictures(
        rgb=torch.randint(0, 256, (count, 3, size, size), generator=random, dtype=torch.uint8),
        person=torch.full((count, 1, size, size), 255, dtype=torch.uint8),
        known=torch.ones(count, 1, size, size) > 0,
        has_mask=torch.ones(count) > 0,
        window=torch.tensor([0.0, 0.0, 0.5]).expand(count, 3).clone(),
        is_shown=torch.ones(count) > 0,
    )


def picture_of(drawer: Photometric, vertices_m: torch.Tensor, window: torch.Tensor, size: int) -> PartPictures:
    """The picture that the renderer itself makes of people (B, M, 3) in windows (B, 3), with the looks of the mean."""
    blank = noise_pictures(len(window), size, 0)
    blank = dataclasses.replace(blank, rgb=0 * blank.rgb, person=0 * blank.person, window=window)
    looks = drawer.looks(vertices_m, blank)
    drawn, alpha = drawer.draw(vertices_m, blank, looks)
    parts = (drawn.clamp(0, 1) / alpha.clamp(min=1e-3), alpha)
    rgb, mask = ((255 * part).round().clamp(0, 255).to(torch.uint8) for part in parts)
    return dataclasses.replace(blank, rgb=rgb, person=mask)
