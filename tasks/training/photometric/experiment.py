"""Stage 2 as an experiment of the engine: what stage 1 has trained, trained on with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from model.body.keypoint_body import KeypointBody
from model.regressor.augment import AugmentConfig
from model.regressor.checkpoint import load_regressor
from model.regressor.flip import CoefficientMirror
from model.renderer.perceptual.term import build_perceptual
from model.renderer.photometric import Photometric
from model.renderer.texture.file import load_renderer
from model.weights import checkpoint_sha256
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.photometric.balance import Balance, groups_of
from tasks.training.photometric.dataset import PicturedBatch, PicturedDataset
from tasks.training.photometric.objective import PhotometricObjective
from tasks.training.photometric.pictures import drawn_sheet
from tasks.training.photometric.settings import PhotometricTrainConfig
from tasks.training.regressor.experiment import RegressorExperiment
from tasks.training.regressor.plan import TrainingPlan
from tasks.training.regressor.request import read_request
from tasks.training.regressor.start import first_weights

PICTURED_PEOPLE = 12
"""Validation people of whom parts are drawn."""


class PhotometricExperiment(RegressorExperiment):
    """A plan, carried out; see ``tasks.training.engine.experiment.Experiment``."""

    @property
    def config(self) -> PhotometricTrainConfig:
        """All settings."""
        return cast(PhotometricTrainConfig, self.plan.config)

    @property
    def reaches_every_weight(self) -> bool:
        """Without labels some outputs have no gradient."""
        return super().reaches_every_weight and self.config.labels_weight > 0

    @staticmethod
    def samples(
        config: PhotometricTrainConfig,
        people: tuple[LabelledPhotos, ...],
        augment: AugmentConfig,
        mirror: CoefficientMirror | None,
        **options: Any,
    ) -> PicturedDataset:
        """The people with pictures of their parts."""
        return PicturedDataset(
            people,
            augment,
            config.network,
            config.seed,
            mirror=mirror,
            parts=config.parts,
            picture_px=config.picture_px,
            min_part_px=config.min_part_px,
            **options,
        )

    def objective(self) -> PhotometricObjective:
        """Network, bodies, renderer and loss, with the weights of stage 1.

        Raises:
            ValueError: The files that the settings name hold something else.
        """
        config = self.config
        body = KeypointBody(self.plan.assets, config.network.size)
        return PhotometricObjective(
            first_weights(config, self.training),
            body,
            config.loss,
            config.precision,
            open_photometric(self.plan),
            Balance(groups_of(config.parts), config.photometric_weight, config.balance_every),
            config.labels_weight,
        )

    def draw(self, objective: PhotometricObjective) -> bytes | None:  # type: ignore[override]
        """A sheet of parts of some validation people."""
        if self.validation is None:
            return None
        device = next(objective.network.parameters()).device
        people = cast(PicturedBatch, self.validation.spread(PICTURED_PEOPLE).to(device))
        return drawn_sheet(objective.network, objective.photometric, people)

    def export(self, objective: PhotometricObjective, step: int, metrics: Mapping[str, Any]) -> bytes:  # type: ignore[override]
        """The network as ``model.regressor.checkpoint`` reads it, and from what it came."""
        return self.packed(objective.network, step, metrics, {"came_from": lineage(objective, self.config)})


def open_photometric(plan: TrainingPlan) -> Photometric:
    """What draws and compares, from the files that the settings name.

    Raises:
        ValueError: They hold something else, or are of another body.
    """
    config, body = cast(PhotometricTrainConfig, plan.config), plan.assets.smplx
    faces = torch.from_numpy(np.asarray(body.faces, np.int64))
    data = Path(config.renderer).read_bytes()
    renderer, _ = load_renderer(data, faces, body.num_vertices, source=config.renderer)
    perceptual = build_perceptual(
        config.photometric.term, backbone=config.perceptual_backbone, linear=config.perceptual_linear
    )
    return Photometric(
        plan.assets, config.network.size, renderer, config.photometric, perceptual, config.parts,
        config.network.focal_sides,
    )  # fmt: skip


def lineage(objective: PhotometricObjective, config: PhotometricTrainConfig) -> dict[str, Any]:
    """From which regressor and renderer a network came, by the SHA-256 of their files."""
    source = config.regressor_weights
    _, stage1 = load_regressor(Path(source).read_bytes(), source=source)
    return {
        "regressor": {"sha256": checkpoint_sha256(source), "step": stage1.step, "labels": list(stage1.snapshot_hashes)},
        "renderer": {"sha256": checkpoint_sha256(config.renderer)},
        "perceptual": objective.photometric.perceptual.record,
    }


def open_experiment(request: Path) -> PhotometricExperiment:
    """The training that a request asks for.

    Raises:
        ValueError: Something in the settings, the labels or the files; see ``read_request``.
    """
    return PhotometricExperiment(read_request(request, PhotometricTrainConfig))
