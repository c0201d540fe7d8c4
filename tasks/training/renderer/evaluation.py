"""How like held-out people are to what a renderer draws of them, from one picture: in that pose, and in another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.renderer.overlay import encode_png
from model.renderer.perceptual.similarity import psnr_db, ssim
from model.renderer.perceptual.term import Perceptual
from model.renderer.splat.draw import Rasteriser
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Looks
from tasks.display import Display
from tasks.synthetic.frames import Frame
from tasks.training.renderer.people import camera_of

GOAL = "other_psnr_db"
"""The figure that says whether a renderer is of use: from another picture of the person."""
SHEET_PEOPLE = 8
PEOPLE_A_ROW = 2


@torch.no_grad()
def held_out_figures(
    renderer: TextureRenderer,
    pairs: Sequence[tuple[Frame, Frame]],
    perceptual: Perceptual,
    rasteriser: Rasteriser,
    display: Display,
) -> tuple[dict[str, float], bytes]:
    """Figures within the masks, means over the people, and a sheet of some of them as a PNG.

    ``same`` is drawn in the pose of the picture that the looks are from, ``other`` in another pose and view; ``mean``
    is the mean of all people in mean light instead of the person's looks, in that other picture.
    """
    rows: list[dict[str, float]] = []
    tiles: list[Tensor] = []
    for number, (source, target) in enumerate(pairs):
        looks = renderer.looks(*_inputs(source), camera_of(source), rasteriser=rasteriser)
        usual = Looks(torch.zeros_like(looks.coefficients), renderer.texture.light_mean[None])
        row: dict[str, float] = {}
        for name, frame, wanted in (("same", source, looks), ("other", target, looks), ("mean", target, usual)):
            picture, mask, _ = _inputs(frame)
            drawn = _drawn(renderer, frame, wanted, rasteriser)
            row |= {
                f"{name}_psnr_db": float(psnr_db(drawn, picture, mask)),
                f"{name}_ssim": float(ssim(drawn, picture, mask)),
                f"{name}_{perceptual.config.name}": float(perceptual.of_each(drawn, picture, mask)),
            }
            if name != "mean" and number < SHEET_PEOPLE:
                tiles += [picture[0], drawn[0]]
        rows.append(row)
        display.show("people held out drawn", number + 1, len(pairs), "", None)
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    figures["other_psnr_db_worst"] = min(row["other_psnr_db"] for row in rows)
    return figures, _sheet(tiles)


def _inputs(frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Picture (1, 3, H, W), mask (1, 1, H, W) bool and vertices (1, V, 3)."""
    picture = torch.from_numpy(frame.rgb).permute(2, 0, 1)[None].contiguous()
    return picture, torch.from_numpy(frame.coverage > 0.5)[None, None], torch.from_numpy(frame.vertices_m)[None]


def _drawn(renderer: TextureRenderer, frame: Frame, looks: Looks, rasteriser: Rasteriser) -> Tensor:
    """(1, 3, H, W) on black."""
    _, _, vertices = _inputs(frame)
    colours = renderer.colours(looks, vertices)
    size_hw = (frame.rgb.shape[0], frame.rgb.shape[1])
    drawing = renderer.draw(vertices, colours, camera_of(frame), size_hw, rasteriser=rasteriser)
    return drawing.colour.movedim(-1, 1)


def _sheet(tiles: list[Tensor]) -> bytes:
    """Four tiles (3, H, W) a person: picture, drawn, another picture, drawn; some people side by side."""
    people = [torch.cat(tiles[first : first + 4], 2) for first in range(0, len(tiles), 4)]
    people += [torch.zeros_like(people[0])] * (-len(people) % PEOPLE_A_ROW)
    rows = [torch.cat(people[first : first + PEOPLE_A_ROW], 2) for first in range(0, len(people), PEOPLE_A_ROW)]
    return encode_png((255 * torch.cat(rows, 1).clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).numpy())
