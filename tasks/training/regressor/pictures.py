"""Sheets of overlays: what the network says of a few validation people, beside their labels."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from model.batches import map_tensors
from model.body.ehms import EHMs
from model.imaging.crop_camera import crop_translation
from model.regressor.batch import TrainingBatch
from model.regressor.network import EhmRegressor, normalise
from model.renderer.overlay import draw_keypoints, draw_mesh, encode_png, side_colours, side_view

TILE_PX = 192
PEOPLE_A_ROW = 2
"""People side by side, four tiles each."""


@torch.no_grad()
def overlay_sheet(network: EhmRegressor, batch: TrainingBatch, body: EHMs) -> bytes:
    """A PNG with four tiles a person: crop with the label's keypoints, prediction over the crop, prediction and label
    from the side.

    Args:
        network: On the CPU or a GPU, in any mode.
        batch: The people, on the CPU.
        body: The whole mesh, on the CPU.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    prediction = network(normalise(batch.crops.to(device)))
    network.train(was_training)
    said = map_tensors(prediction.parameters, lambda tensor: tensor.float().cpu())
    focal_sides = network.config.focal_sides
    place = crop_translation(prediction.camera.float().cpu(), focal_sides)
    posed, label = body(said), body(batch.target)
    vertices = (posed.vertices - posed.joints[:, :1] + place[:, None]).numpy().astype(np.float64)
    colours, faces = side_colours(body.assets), body.faces.numpy()
    people = []
    for i, crop in enumerate(batch.crops.permute(0, 2, 3, 1).numpy()):
        photo = cv2.resize(crop, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR)
        points = batch.keypoints_2d[i].numpy().astype(np.float64).copy()
        points[:, :2] = (points[:, :2] + 0.5) * TILE_PX
        drawn = draw_mesh(
            photo, vertices[i], faces, focal_sides * TILE_PX, np.full(2, TILE_PX / 2), colours=colours, alpha=0.7
        )
        sides = (side_view(mesh, faces, TILE_PX, colours=colours)
                 for mesh in (vertices[i], label.vertices[i].numpy().astype(np.float64)))  # fmt: skip
        people.append(np.concatenate([draw_keypoints(photo, points), drawn, *sides], axis=1))
    blank = np.full_like(people[0], 255)
    people += [blank] * (-len(people) % PEOPLE_A_ROW)
    rows = [np.concatenate(people[i : i + PEOPLE_A_ROW], axis=1) for i in range(0, len(people), PEOPLE_A_ROW)]
    return encode_png(np.concatenate(rows))
