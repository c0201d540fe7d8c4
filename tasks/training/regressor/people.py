"""The people of a training, for one of its processes: batches to learn from, batches to evaluate on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.regressor.augment import AugmentConfig
from model.regressor.batch import TrainingBatch
from model.regressor.flip import CoefficientMirror
from model.regressor.sample import LabelRow
from tasks.training.engine.distributed import World
from tasks.training.regressor.broken_rows import BrokenRows
from tasks.training.regressor.dataset import RegressorDataset
from tasks.training.regressor.evaluation import rows_of
from tasks.training.regressor.loader import build_loader
from tasks.training.regressor.plan import TrainingPlan

EVALUATION_BATCH = 64
"""People who are evaluated at once."""


class TrainingPeople:
    """Samples of a plan.

    Args:
        plan: Which labels and photos.
        world: Whose share.

    Raises:
        ValueError: Crops are to be flipped, but this body has no mirror; or a label cannot be cropped.
    """

    def __init__(self, plan: TrainingPlan, world: World) -> None:
        config = self._config = plan.config
        self._world = world
        network = config.network
        mirror = None
        if config.augment.flip_share > 0:
            mirror = CoefficientMirror.of(
                plan.assets,
                num_betas=network.num_betas,
                num_flame_shape=network.num_flame_shape,
                num_expression=network.num_expression,
            )
        self._training = RegressorDataset(
            plan.training,
            config.augment,
            network,
            config.seed,
            mirror=mirror,
            weigh_by_quality=config.weigh_by_quality,
            max_broken_share=config.max_broken_share,
        )
        self.broken = BrokenRows(len(self._training), config.max_broken_share)
        """The people to learn from whose photos cannot be used, as far as this process knows."""
        self._validation = None
        if plan.validation:
            plain = AugmentConfig.none()
            self._validation = RegressorDataset(
                plan.validation,
                plain,
                network,
                config.seed,
                shuffle=False,
                max_broken_share=config.max_broken_share,
            )
            self._broken_validation = BrokenRows(len(self._validation), config.max_broken_share)

    def training_batches(self, first_step: int) -> Iterator[TrainingBatch]:
        """This process' batches from a step, counted from 0, to the last, on the CPU.

        Raises:
            TrainingDataError: A photo cannot be used, or more of them than allowed.
        """
        config = self._config
        loader = build_loader(
            self._training,
            first_step=first_step,
            num_steps=max(0, config.steps - first_step),
            batch_size=config.run.batch_size,
            rank=self._world.rank,
            world_size=self._world.size,
            num_workers=config.run.loader_workers,
            pin_memory=self._world.device.type == "cuda",
            broken=self.broken,
        )
        return iter(loader)

    @property
    def has_validation(self) -> bool:
        """Whether there is somebody to evaluate on."""
        return self._validation is not None

    def validation_batches(self) -> Iterator[TrainingBatch]:
        """This process' share of the validation people, each once, not augmented, on the CPU.

        One whose photo cannot be used gives way to the next, who then counts twice, within ``max_broken_share``.

        Raises:
            TrainingDataError: A photo cannot be used, or more of them than allowed.
        """
        if self._validation is None:
            return
        count, world = len(self._validation), self._world
        stride = EVALUATION_BATCH * world.size
        loader = build_loader(
            self._validation,
            num_steps=-(-count // stride),
            batch_size=EVALUATION_BATCH,
            rank=world.rank,
            world_size=world.size,
            num_workers=self._config.run.loader_workers,
            broken=self._broken_validation,
        )
        for step, batch in enumerate(loader):
            # Beyond the last row the positions begin again: those people were seen already.
            left = count - step * stride - world.rank * EVALUATION_BATCH
            if left > 0:
                yield batch if left >= len(batch) else rows_of(batch, range(left))

    def pictured(self, count: int) -> TrainingBatch | None:
        """A few validation people, spread over them; None where there are none."""
        if self._validation is None:
            return None
        total = len(self._validation)
        spread = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
        return self._validation.batch([int(position) for position in spread])

    def some_rows(self, count: int) -> list[LabelRow]:
        """Labels to learn from, at most `count`, spread evenly over each set."""
        found: list[LabelRow] = []
        shares = np.array([entry.weight for entry in self._training.sets], np.float64)
        for rows, share in zip(self._training.rows, shares / shares.sum(), strict=True):
            wanted = min(len(rows), max(1, round(count * float(share))))
            found += [rows[int(i)] for i in np.unique(np.linspace(0, len(rows) - 1, wanted).round().astype(int))]
        return found
