"""The training of GUAVA's renderer as an experiment of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model.batches import map_tensors
from model.body.ehms import EHMs
from model.renderer.guava.body import guava_body
from model.renderer.guava.checkpoint import load_guava, save_guava
from model.renderer.part_windows import PARTS
from model.renderer.perceptual.term import build_perceptual
from tasks.body_model import ehm_assets
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.experiment import PlannedExperiment
from tasks.training.guava.evaluation import HeldOutFrames, evaluate, sheet
from tasks.training.guava.objective import GuavaObjective
from tasks.training.guava.pairs import FramePairs, PairBatch
from tasks.training.guava.request import GuavaPlan, read_request
from tasks.training.guava.same_person import SamePerson
from tasks.training.guava.settings import GuavaTrainConfig
from tasks.version import code_version

PICTURED_PAIRS = 4
"""Held-out pairs on a sheet."""


class GuavaExperiment(PlannedExperiment[GuavaPlan]):
    """A plan, carried out; see ``tasks.training.engine.experiment.Experiment``.

    Args:
        plan: Which labels, photos and masks, and all settings.

    Raises:
        ValueError: A set has nobody in two photos.
    """

    def __init__(self, plan: GuavaPlan) -> None:
        super().__init__(plan)
        config = plan.config

        def pairs(sets, **options: Any) -> FramePairs:
            return FramePairs(
                sets,
                same=SamePerson(config.same_person),
                source_px=config.network.dino.side_px,
                target_px=config.network.image_px,
                seed=config.seed,
                global_batch=config.global_batch,
                max_broken_share=config.max_broken_share,
                **options,
            )

        self.training = pairs(plan.training, parts=PARTS if config.loss.close_ups == "cameras" else ())
        """Photos to learn from, each with another one of the person, in random order."""
        self.validation = pairs(plan.validation, shuffle=False) if plan.validation else None
        """Photos to evaluate on; None where there are none."""

    @property
    def config(self) -> GuavaTrainConfig:
        """All settings."""
        return self.plan.config

    @property
    def reaches_every_weight(self) -> bool:
        """A unit of the pyramid's coarsest level has no use in the published network."""
        return False

    @property
    def begins_trained(self) -> bool:
        """The checkpoint is that of a training."""
        return True

    def objective(self) -> GuavaObjective:
        """Renderer, body and loss, with the weights of the checkpoint.

        Raises:
            ValueError: The files that the settings name hold something else.
        """
        config = self.config
        body = EHMs(guava_body(ehm_assets(config.body_model)), config.coefficients)
        renderer, _ = load_guava(Path(config.checkpoint), body.faces, config.network)
        perceptual = build_perceptual(
            config.loss.term, backbone=config.perceptual_backbone, linear=config.perceptual_linear
        )
        return GuavaObjective(renderer, body, config.loss, perceptual, config.rasteriser)

    def evaluate(self, objective: GuavaObjective, batches: Iterable[PairBatch], group: ProcessGroup) -> HeldOutFrames:
        """Figures of held-out frames, no more drawn at once than in a step; see ``evaluation``."""
        return evaluate(objective, batches, group, at_once=self.config.run.batch_size)

    def draw(self, objective: GuavaObjective) -> bytes | None:
        """A sheet of some held-out pairs."""
        if self.validation is None:
            return None
        device = next(objective.parameters()).device
        return sheet(objective, map_tensors(self.validation.spread(PICTURED_PAIRS), lambda tensor: tensor.to(device)))

    def export(self, objective: GuavaObjective, step: int, metrics: Mapping[str, Any]) -> bytes:
        """The networks as ``load_guava`` reads them."""
        came_from = {"step": step, **self.plan.stated, "metrics": dict(metrics), "code_version": code_version()}
        came_from["perceptual"] = objective.perceptual.record
        came_from["labels"] = [people.selection.origin for people in self.plan.training]
        return save_guava(objective.renderer, came_from)


def open_experiment(request: Path) -> GuavaExperiment:
    """The training that a request asks for.

    Raises:
        ValueError: Something in the settings, the labels or the files; see ``read_request``.
    """
    return GuavaExperiment(read_request(request))
