"""Draws docs/head_fusion.jpg, what betas and head scale do to the head in both fusions: python docs/head_fusion.py.

It also prints the figures of docs/decisions/head_fusion.md: how much the size of the head varies with the betas.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from model.body import skeleton
from model.body.assets import load_open_body
from model.body.blended_head import head_weight
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.renderer.overlay import BACKDROP_RGB, draw_mesh, side_colours

OUT = Path(__file__).with_name("head_fusion.jpg")
TILE_PX, LINE_PX, GAP_PX, DISTANCE_M, HEIGHT_M = 224, 19, 6, 6.0, 0.56
SHOWN = (
    ("betas +2.5 sd, the larger head", {"betas": 2.5}),
    ("the mean person", {}),
    ("betas -2.5 sd, the smaller head", {"betas": -2.5}),
    ("mean person, head scale 1.25", {"head_scale": 1.25}),
)
PEOPLE = 500


@torch.no_grad()
def main() -> None:
    """Draws and writes the picture, and prints the figures."""
    assets = load_open_body()
    inner = torch.from_numpy(head_weight(assets) == 1)
    bodies = {fusion: EHMs(dataclasses.replace(assets, fusion=fusion)) for fusion in ("blended", "paper")}
    # The direction of the betas along which the head of `blended` grows fastest, of length one.
    steps = _sizes(bodies["blended"], inner, EhmParameters.neutral(10, betas=torch.eye(10)))
    towards = torch.nn.functional.normalize(steps - _mean_size(bodies["blended"], inner), dim=0)
    betas = torch.randn(PEOPLE, 10, generator=torch.Generator().manual_seed(0))
    colours, font = side_colours(assets), ImageFont.load_default(13)
    size = len(SHOWN) * (TILE_PX + GAP_PX) - GAP_PX, len(bodies) * (TILE_PX + LINE_PX)
    picture = Image.new("RGB", size, BACKDROP_RGB)
    pen = ImageDraw.Draw(picture)
    for row, (fusion, body) in enumerate(bodies.items()):
        mean = _mean_size(body, inner)
        spread = _sizes(body, inner, EhmParameters.neutral(PEOPLE, betas=betas)) / mean - 1
        print(
            f"{fusion}: betas N(0, 1) change the size of the head by {100 * spread.std():.1f} % (standard deviation), "
            f"{100 * spread.abs().max():.1f} % at most"
        )
        for column, (title, given) in enumerate(SHOWN):
            known = {
                "betas": given.get("betas", 0.0) * towards,
                "head_scale": torch.full((3,), given.get("head_scale", 1.0)),
            }
            person = EhmParameters.neutral(1, **{name: value[None] for name, value in known.items()})
            change = 100 * (_sizes(body, inner, person)[0] / mean - 1)
            left, top = column * (TILE_PX + GAP_PX), row * (TILE_PX + LINE_PX)
            picture.paste(Image.fromarray(_drawn(body, person, colours)), (left, top))
            pen.text(
                (left + 6, top + TILE_PX + 2), f"{fusion}: head {change:+.1f} %" if column != 1 else fusion, 0, font
            )
            if not row:
                pen.text((left + 6, top + 4), title, 0, font)
    picture.save(OUT, quality=88)


def _sizes(body: EHMs, inner: torch.Tensor, people: EhmParameters) -> torch.Tensor:
    """Root mean square distance (B,) of the head's vertices from their mean, metres."""
    chunks = []
    for first in range(0, len(people), 50):
        rows = slice(first, first + 50)
        head = body(dataclasses.replace(people, **{n: v[rows] for n, v in people.named().items()})).vertices[:, inner]
        chunks.append((head - head.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt())
    return torch.cat(chunks)


def _mean_size(body: EHMs, inner: torch.Tensor) -> torch.Tensor:
    return _sizes(body, inner, EhmParameters.neutral(1))[0]


def _drawn(body: EHMs, person: EhmParameters, colours: np.ndarray) -> np.ndarray:
    """Head and shoulders from the front and a little from the side, all tiles to one scale: (tile, tile, 3)."""
    out = body(person)
    turn = np.array([[np.cos(0.5), 0, np.sin(0.5)], [0, 1, 0], [-np.sin(0.5), 0, np.cos(0.5)]])
    neck = out.joints[0, skeleton.NECK].numpy() + np.array([0.0, 0.08, 0.0])
    vertices = (out.vertices[0].numpy() - neck) @ turn.T * [1.0, -1.0, -1.0] + [0.0, 0.0, DISTANCE_M]
    blank = np.full((TILE_PX, TILE_PX, 3), BACKDROP_RGB, np.uint8)
    focal = TILE_PX * DISTANCE_M / HEIGHT_M
    faces, middle = body.assets.smplx.faces, np.full(2, TILE_PX / 2)
    return draw_mesh(blank, vertices, faces, focal, middle, colours=colours, alpha=1.0)


if __name__ == "__main__":
    main()
