"""Crops that a training sees of published labels."""

from pathlib import Path

import torch

from datasets_manifest.shards.selection import select_labels
from datasets_manifest.sources.image_source import check_images
from datasets_manifest.sources.opening import open_images
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.regressor.dataset import RegressorDataset


def training_crops(labels: Path, photos: Path, key: str) -> dict[str, torch.Tensor]:
    """The crop of each person, not augmented, by a column of the labels."""
    selection = select_labels(labels, max_dropped_share=1.0)
    source = open_images(photos)
    check_images(selection.table["image"].unique().to_pylist(), source, labels=selection.path)
    people = LabelledPhotos(selection=selection, images=source)
    data = RegressorDataset([people], AugmentConfig.none(), RegressorConfig(crop_px=64, side_px=8), 0, shuffle=False)
    return {name: data[k].crop for k, name in enumerate(selection.table[key].to_pylist())}
