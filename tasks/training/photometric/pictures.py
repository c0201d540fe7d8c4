"""Sheets of parts: the photo, what is drawn of the prediction, and the difference."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from model.regressor.network import EhmRegressor, normalise
from model.renderer.overlay import encode_png
from model.renderer.part_windows import Part
from model.renderer.photometric import Photometric
from tasks.training.photometric.dataset import PicturedBatch

TILE_PX = 160
PEOPLE_A_ROW = 3


@torch.no_grad()
def drawn_sheet(network: EhmRegressor, photometric: Photometric, batch: PicturedBatch) -> bytes | None:
    """A PNG with three tiles a part that is shown; None where none is.

    Args:
        network: In evaluation mode.
        photometric: On the network's device.
        batch: The people, there too.
    """
    said = network(normalise(batch.crops))
    vertices, _ = photometric.pose(said.parameters, said.camera)
    people = []
    for part in photometric.parts:
        people += _tiles(photometric, vertices, batch, part)
    if not people:
        return None
    blank = np.full_like(people[0], 255)
    people += [blank] * (-len(people) % PEOPLE_A_ROW)
    rows = [np.concatenate(people[i : i + PEOPLE_A_ROW], axis=1) for i in range(0, len(people), PEOPLE_A_ROW)]
    return encode_png(np.concatenate(rows))


def _tiles(photometric: Photometric, vertices: Tensor, batch: PicturedBatch, part: Part) -> list[np.ndarray]:
    pictures = batch.pictures[part]
    drawn, _ = photometric.draw(vertices, pictures, photometric.looks(vertices, pictures))
    found = []
    for row in torch.nonzero(pictures.is_shown).squeeze(1).tolist():
        photo, own = pictures.photo[row], drawn[row].clamp(0, 1)
        shown = pictures.rgb[row].float() / 255
        tiles = [_tile(shown), _tile(own), _tile((own - photo).abs())]
        found.append(np.concatenate(tiles, axis=1))
    return found


def _tile(picture: Tensor) -> np.ndarray:
    rgb = (255 * picture).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return cv2.resize(rgb, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR)
