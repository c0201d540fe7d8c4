"""People whose truth is known, and a network that says just that: what comes out of prediction must be the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from model.batches import map_tensors
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import BODY
from model.imaging.camera import NEAR_M
from model.imaging.squares import apply_affine
from model.regressor.augment import AugmentConfig, draw
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import Prediction
from model.regressor.sample import LabelRow, collate, make_sample
from model.renderer.raster import project

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)


class TruthfulNetwork(nn.Module):
    """Gives the people it was told of one after the other, whatever the crops show; keeps the crops."""

    def __init__(self, config: RegressorConfig, parameters: EhmParameters, camera: torch.Tensor) -> None:
        super().__init__()
        self.config, self.parameters_told, self.camera_told = config, parameters, camera
        self.crops: list[torch.Tensor] = []

    def forward(self, crops: torch.Tensor) -> Prediction:
        first = sum(len(seen) for seen in self.crops)
        self.crops.append(crops)
        rows = slice(first, first + len(crops))
        return Prediction(
            parameters=map_tensors(self.parameters_told, lambda t: t[rows]), camera=self.camera_told[rows]
        )


def truthful(config: RegressorConfig, rows: list[LabelRow], photos: list[np.ndarray], body: KeypointBody):
    """A network that knows the people of some labels as training would show them, and the crops of training."""
    none = AugmentConfig.none()
    samples = [
        make_sample(row, rgb, draw(np.random.default_rng(0), none, row.box_xyxy, row.keypoints_2d), config.crop_px)
        for row, rgb in zip(rows, photos, strict=True)
    ]
    batch = collate(samples)
    joints = body(batch.target)
    points = (joints.keypoints - joints.joints[:, :1])[:, BODY].double()
    cameras = [camera_of(points[k].numpy(), batch.keypoints_2d[k, BODY].numpy(), config) for k in range(len(rows))]
    network = TruthfulNetwork(config, batch.target, torch.tensor(np.stack(cameras), dtype=torch.float32))
    return network.eval(), batch.crops


def camera_of(points_m: np.ndarray, shown: np.ndarray, config: RegressorConfig) -> np.ndarray:
    """s, tx, ty (3,) under which points (N, 3) are seen best where the crop shows them (N, 3: x, y, score)."""
    rays = shown[:, :2] / config.focal_sides
    rows, right = [], []
    for axis in (0, 1):
        unit = np.zeros((len(rays), 3))
        unit[:, axis], unit[:, 2] = 1, -rays[:, axis]
        rows.append(unit)
        right.append(rays[:, axis] * points_m[:, 2] - points_m[:, axis])
    x, y, z = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
    assert z > NEAR_M
    return np.array([2 * config.focal_sides / z, x, y])


def crop_points(points_px: np.ndarray, crop_from_image: np.ndarray, crop_px: int) -> np.ndarray:
    """Points (N, 2) of the photo in sides of the crop from its centre."""
    return apply_affine(crop_from_image, points_px) / crop_px - 0.5


def label_row(
    parameters: EhmParameters, index: int, transl_m: np.ndarray, size_px: tuple[int, int], focal_px: float,
    body: KeypointBody,
) -> LabelRow:  # fmt: skip
    """The label of one person who stands at ``transl_m`` before the photo's camera; the box is the keypoints'."""
    principal, columns = np.array(size_px, np.float64) / 2, parameters.columns()
    one = map_tensors(parameters, lambda tensor: tensor[index : index + 1].float())
    place = torch.tensor(transl_m[None], dtype=torch.float32)
    points = body(dataclasses.replace(one, transl_m=place)).keypoints[0]
    pixels = project(points.numpy(), focal_px, principal)
    return LabelRow(
        sample_id=f"made/test/{index}#0",
        image=f"{index}.png",
        size_px=size_px,
        box_xyxy=np.concatenate([pixels.min(0), pixels.max(0)]),
        keypoints_2d=np.column_stack([pixels, np.ones(len(pixels))]),
        focal_px=focal_px,
        principal_px=principal,
        parameters={name: columns[name][index].numpy() for name in LABEL_PARAMETERS if name in columns},
        part_valid=np.ones(4, bool),
        joint_seen=np.ones(22, bool),
        body_group_valid=np.ones(6, bool),
        eyes_valid=True,
        eyelids_valid=True,
    )


def rendered_row(truth: dict) -> LabelRow:
    """The label of a person of the synthetic set, all keypoints known."""
    keypoints = np.array(truth["keypoints_2d"], np.float64)
    keypoints[:, 2] = 1
    return LabelRow(
        sample_id="made/test/0#0",
        image="0.png",
        size_px=(truth["image_width"], truth["image_height"]),
        box_xyxy=np.array(truth["bbox_xyxy"]),
        keypoints_2d=keypoints,
        focal_px=truth["focal_px"],
        principal_px=np.asarray(truth["principal_px"], np.float64),
        parameters={name: np.asarray(truth[name]) for name in LABEL_PARAMETERS if name != "transl_m"},
        part_valid=np.ones(4, bool),
        joint_seen=np.ones(22, bool),
        body_group_valid=np.ones(6, bool),
        eyes_valid=True,
        eyelids_valid=True,
    )
