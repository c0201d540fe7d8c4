"""Stage 1 as an experiment of the engine: crops of labelled people in, the network that tells their parameters out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from model.body.keypoint_body import KeypointBody
from model.regressor.augment import AugmentConfig
from model.regressor.batch import TrainingBatch
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.flip import CoefficientMirror
from model.regressor.network import EhmRegressor
from model.weights import checkpoint_sha256
from tasks.body_model import full_body
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.experiment import PlannedExperiment
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.regressor.dataset import RegressorDataset
from tasks.training.regressor.evaluation import Evaluator, HeldOut, evaluate
from tasks.training.regressor.objective import Objective
from tasks.training.regressor.pictures import overlay_sheet
from tasks.training.regressor.plan import TrainingPlan
from tasks.training.regressor.request import read_request
from tasks.training.regressor.settings import TrainConfig
from tasks.training.regressor.start import first_weights
from tasks.version import code_version

PICTURED_PEOPLE = 8
"""Validation people on a sheet of overlays."""


class RegressorExperiment(PlannedExperiment[TrainingPlan]):
    """A plan, carried out; see ``tasks.training.engine.experiment.Experiment``.

    Args:
        plan: Which labels and photos, and all settings.

    Raises:
        ValueError: Crops are to be flipped, but this body has no mirror; or a label cannot be cropped.
    """

    came_from: Mapping[str, Any] = MappingProxyType({})
    """Kind and sha256 of the files that the first weights are of, once they were read."""

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__(plan)
        config, network = plan.config, plan.config.network
        mirror = None
        if config.augment.flip_share > 0:
            mirror = CoefficientMirror.of(plan.assets, network.size)
        self.training = self.samples(
            config,
            plan.training,
            config.augment,
            mirror,
            weigh_by_quality=config.weigh_by_quality,
            max_broken_share=config.max_broken_share,
        )
        """The people to learn from, augmented, in random order."""
        self.validation = self.held_out(config, plan.validation) if plan.validation else None
        """The people to evaluate on, as they are; None where there are none."""

    @property
    def config(self) -> TrainConfig:
        """All settings."""
        return self.plan.config

    @property
    def reaches_every_weight(self) -> bool:
        """A term of weight 0 may leave a read-out without a gradient."""
        return self.config.loss.reaches_every_readout

    @property
    def begins_trained(self) -> bool:
        """Where it goes on from another regressor."""
        return self.config.regressor_weights is not None

    @staticmethod
    def samples(
        config: Any,
        people: tuple[LabelledPhotos, ...],
        augment: AugmentConfig,
        mirror: CoefficientMirror | None,
        **options: Any,
    ) -> RegressorDataset:
        """Some people as samples of a training of these settings; the options are those of ``RegressorDataset``."""
        return RegressorDataset(people, augment, config.network, config.seed, mirror=mirror, **options)

    @classmethod
    def held_out(cls, config: TrainConfig, people: tuple[LabelledPhotos, ...]) -> RegressorDataset:
        """The people to evaluate on as samples, as they are and in their order."""
        share = config.max_broken_share
        return cls.samples(config, people, AugmentConfig.none(), None, shuffle=False, max_broken_share=share)

    def objective(self) -> Objective:
        """Network, body and loss, with the first weights.

        Raises:
            ValueError: The files that the settings name hold something else.
        """
        config, network = self.config, self.config.network
        body = KeypointBody(self.plan.assets, network.size)
        weights = first_weights(config, self.training)
        began = {"regressor": config.regressor_weights, "backbone": config.backbone_weights}
        self.came_from = {kind: {"sha256": checkpoint_sha256(path)} for kind, path in began.items() if path is not None}
        return Objective(weights, body, config.loss, config.precision, config.token_keypoints)

    def evaluate(self, objective: Objective, batches: Iterable[TrainingBatch], group: ProcessGroup) -> HeldOut:
        """Errors of the network and of its mean parameters; see ``evaluation``."""
        evaluator = Evaluator(self.plan.assets, self.config.network, objective.network.mean, group.device)
        return evaluate(objective.network, batches, evaluator, group)

    def draw(self, objective: Objective) -> bytes | None:
        """A sheet of overlays of some validation people."""
        if self.validation is None:
            return None
        people = self.validation.spread(PICTURED_PEOPLE)
        return overlay_sheet(objective.network, people, full_body(self.config.body_model, self.config.network.size))

    def export(self, objective: Objective, step: int, metrics: Mapping[str, Any]) -> bytes:
        """The network as ``model.regressor.checkpoint`` reads it."""
        return self.packed(objective.network, step, metrics)

    def packed(
        self, network: EhmRegressor, step: int, metrics: Mapping[str, Any], further: Mapping[str, Any] | None = None
    ) -> bytes:
        """A network with its metadata; ``further`` goes to what is said of the training."""
        validation = [people.selection.snapshot_hash for people in self.plan.validation]
        labels = [people.selection.origin for people in self.plan.training]
        meta = CheckpointMeta(
            config=self.config.network,
            step=step,
            snapshot_hashes=self.plan.snapshot_hashes,
            body_model=dict(self.plan.body_model),
            training=self.config.deciding()
            | {"validation_snapshots": validation, "labels": labels, "came_from": dict(self.came_from)}
            | dict(further or {}),
            metrics=dict(metrics),
            code_version=code_version(),
        )
        return save_regressor(network, meta)


def open_experiment(request: Path) -> RegressorExperiment:
    """The training that a request asks for.

    Raises:
        ValueError: Something in the settings, the labels or the files; see ``read_request``.
    """
    return RegressorExperiment(read_request(request))
