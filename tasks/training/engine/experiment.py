"""What a training is asked for: the engine does the steps, an experiment says what is learnt from what.

    samples by position -> batch -> objective (loss) -> step
    averaged weights    -> evaluation, pictures, the network that is given out

A batch is a dataclass of tensors that share their first dimension (``model.batches``), with ``sample_ids`` beside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import nn

from model.batches import take_rows, tensors_of
from tasks.training.engine.broken_rows import BrokenRow
from tasks.training.engine.config import to_plain
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.prepared import Plan, Planned
from tasks.training.engine.run_folder import RunFolder


class Batch(Protocol):
    """Samples of one step and process."""

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Who is in it, for messages."""
        ...


SomeBatch = TypeVar("SomeBatch", bound=Batch)


class Samples(Protocol):
    """Samples by position. Everything random in a sample follows from the seed and its position."""

    @property
    def max_broken_share(self) -> float:
        """Largest share of the rows that may be stepped over because they cannot be used."""
        ...

    def __len__(self) -> int:
        """Number of rows; positions go on beyond it."""
        ...

    def find(self, position: int) -> tuple[Any, Sequence[BrokenRow]]:
        """The sample of a position, and the rows before it that were stepped over.

        Raises:
            TrainingDataError: It cannot be had.
        """
        ...

    def collate(self, samples: Sequence[Any]) -> Any:
        """Samples as a batch on the CPU."""
        ...


class Evaluation(Protocol):
    """How a network does on held-out samples."""

    @property
    def figures(self) -> Mapping[str, float | int | None]:
        """Named figures, None for one that nobody tells."""
        ...

    @property
    def sentence(self) -> str:
        """The figures that matter, for the log."""
        ...

    def parquet(self) -> bytes:
        """One row a sample as the bytes of a Parquet file, in an order that does not depend on the processes."""
        ...


class Experiment(Planned, Protocol):
    """One kind of training."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings as plain values, those that decide nothing too, for the summary of the run."""
        ...

    @property
    def training(self) -> Samples:
        """What is learnt from."""
        ...

    @property
    def validation(self) -> Samples | None:
        """What is evaluated on, each row once, in order; None where nothing is held out."""
        ...

    @property
    def reaches_every_weight(self) -> bool:
        """Whether each step gives every trained weight a gradient; else processes look for those without."""
        ...

    @property
    def begins_trained(self) -> bool:
        """Whether the first weights come from an earlier training: they are evaluated too, as step 0."""
        ...

    def objective(self) -> nn.Module:
        """First weights and loss, on the CPU, the same in every process: what is called with a batch and gives the loss
        and its named terms without gradient, each a mean over the samples.

        Raises:
            ValueError: The files that the settings name hold something else.
        """
        ...

    def evaluate(self, objective: Any, batches: Iterable[Any], group: ProcessGroup) -> Evaluation:
        """Measures the averaged weights.

        Args:
            objective: The module, with the averaged weights, in evaluation mode.
            batches: This process' share of ``validation``, on the CPU.
            group: The processes that share the samples; all get the same figures.
        """
        ...

    def draw(self, objective: Any) -> bytes | None:
        """A picture of what the averaged weights do, as PNG; None where there is nobody to draw."""
        ...

    def export(self, objective: Any, step: int, metrics: Mapping[str, Any]) -> bytes:
        """The file that is given out: the averaged weights, and all that has to be known about them."""
        ...


SomePlan = TypeVar("SomePlan", bound=Plan)


class PlannedExperiment(Generic[SomePlan]):
    """What an experiment has of its plan."""

    def __init__(self, plan: SomePlan) -> None:
        self.plan = plan

    @property
    def run_hash(self) -> str:
        """The plan's."""
        return self.plan.run_hash

    @property
    def folder(self) -> RunFolder:
        """The plan's."""
        return self.plan.folder

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings as plain values."""
        return to_plain(self.plan.config)


def some_of(batch: SomeBatch, rows: Sequence[int]) -> SomeBatch:
    """Some samples of a batch."""
    index = torch.as_tensor(list(rows), device=tensors_of(batch)[0].device)
    taken: Any = take_rows(batch, index)
    return dataclasses.replace(taken, sample_ids=tuple(batch.sample_ids[row] for row in rows))
