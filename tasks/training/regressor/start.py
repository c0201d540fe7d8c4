"""The network before its first step: mean parameters and random weights from the seed, or what a file has of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from model.imaging.crop import crop_square
from model.regressor.backbone_weights import backbone_tensors
from model.regressor.checkpoint import load_regressor
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import MeanParameters, from_smpl_mean, neutral, of_labels
from model.regressor.network import EhmRegressor
from model.regressor.sample import LabelRow, in_crop_camera, label_parameters
from model.weights import read_checkpoint
from tasks.training.regressor.dataset import RegressorDataset
from tasks.training.regressor.mean_file import read_mean_file
from tasks.training.regressor.settings import TrainConfig

MEAN_LABELS = 4000
"""Labels whose mean is taken, spread evenly over those that are learnt from."""


def first_weights(config: TrainConfig, people: RegressorDataset) -> EhmRegressor:
    """The network with which a training begins, on the CPU; the same in every process.

    Raises:
        ValueError: The files that the settings name hold something else.
    """
    torch.manual_seed(config.seed)
    if config.regressor_weights is not None:
        return _of_this_crop(config.regressor_weights, config.network)
    network = EhmRegressor(config.network, _mean(config, people))
    if config.backbone_weights is not None:
        checkpoint = read_checkpoint(config.backbone_weights)
        tensors = backbone_tensors(
            checkpoint.tensors,
            config.network.vit,
            expert=config.backbone_expert,
            image_size=config.backbone_image_px,
            source=config.backbone_weights,
        )
        network.backbone.load_state_dict(tensors)
    return network


def _of_this_crop(path: str, config: RegressorConfig) -> EhmRegressor:
    """The regressor in a file, for crops of the size in ``config``.

    Raises:
        ValueError: It is another network in more than that size.
    """
    earlier, meta = load_regressor(Path(path).read_bytes(), source=path)
    same_crop = dataclasses.replace(meta.config, crop_px=config.crop_px, side_px=config.side_px)
    if differences := config.differences(same_crop):
        raise ValueError(
            f"regressor_weights: {path} is another network: {'; '.join(differences)}; all but the size of the crop "
            "must be the same"
        )
    size = meta.config.vit.image_size
    backbone = backbone_tensors(earlier.backbone.state_dict(), config.vit, image_size=size, source=path)
    network = EhmRegressor(config, earlier.mean)
    network.load_state_dict(earlier.state_dict() | {f"backbone.{name}": tensor for name, tensor in backbone.items()})
    return network


def _mean(config: TrainConfig, people: RegressorDataset) -> MeanParameters:
    if config.mean == "neutral":
        return neutral(config.network)
    if config.mean == "labels":
        return mean_of_rows(people.some_rows(MEAN_LABELS), config)
    return from_smpl_mean(read_mean_file(config.mean), config.network)


def mean_of_rows(rows: list[LabelRow], config: TrainConfig) -> MeanParameters:
    """The mean of labels as the network sees them: orientations relative to the camera of the plain crop."""
    seen = in_crop_camera(label_parameters(rows), rows, [crop_square(row.box_xyxy) for row in rows])
    valid = torch.from_numpy(np.stack([row.part_valid for row in rows]))
    return of_labels(
        seen,
        config.network,
        body_valid=valid[:, 0],
        left_hand_valid=valid[:, 1],
        right_hand_valid=valid[:, 2],
        face_valid=valid[:, 3],
        eyes_valid=torch.tensor([row.eyes_valid for row in rows]),
        eyelids_valid=torch.tensor([row.eyelids_valid for row in rows]),
    )
