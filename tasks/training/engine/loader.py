"""Batches of a process, step by step: made in processes of their own, in the order of the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.batches import map_tensors
from tasks.training.engine.broken_rows import BrokenRow, BrokenRows, TrainingDataError
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.experiment import Samples, some_of

PREFETCHED = 3
"""Batches that a worker has ready or in work."""
EVALUATION_BATCH = 64
"""Samples of a batch of an evaluation, if there are so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """What a worker hands over: a batch, or the sentence that ends the training."""

    batch: Any
    broken: Sequence[BrokenRow] = ()
    sentence: str = ""

    def pin_memory(self, device: Any = None) -> _Made:
        """The same with the batch in page-locked memory (called by torch's loader)."""
        return map_tensors(self, Tensor.pin_memory)


class _Steps(Dataset[_Made]):
    """Batch of a step. Errors of samples travel as values: torch would wrap them in a page of traces."""

    def __init__(self, samples: Samples, batch_size: int, rank: int, world_size: int) -> None:
        self.samples, self.batch_size, self.rank, self.world_size = samples, batch_size, rank, world_size

    def __getitem__(self, step: int) -> _Made:
        first = (step * self.world_size + self.rank) * self.batch_size
        try:
            found = [self.samples.find(position) for position in range(first, first + self.batch_size)]
        except TrainingDataError as error:
            return _Made(batch=None, sentence=str(error))
        batch = self.samples.collate([sample for sample, _ in found])
        return _Made(batch=batch, broken=tuple(row for _, broken in found for row in broken))


class TrainingLoader:
    """Iterates over the batches of a range of steps, once; see ``build_loader``."""

    def __init__(self, loader: DataLoader[_Made], broken: BrokenRows) -> None:
        self._loader = loader
        self.broken = broken
        """The rows that were stepped over so far."""

    def __len__(self) -> int:
        """Number of steps."""
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        """Batches in the order of the steps.

        Raises:
            TrainingDataError: A row cannot be used, or more of them than allowed.
        """
        for made in self._loader:
            if made.batch is None:
                raise TrainingDataError(made.sentence)
            for row in made.broken:
                self.broken.add(row)
            yield made.batch


def build_loader(
    samples: Samples,
    *,
    first_step: int = 0,
    num_steps: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
    broken: BrokenRows | None = None,
    start_method: str = "fork",
) -> TrainingLoader:
    """Batches of one process.

    Step s gives this process positions (s * world_size + rank) * batch_size and the following; neither the number of
    workers nor where a run begins again changes a batch.

    Args:
        samples: By position.
        first_step: Where to begin.
        num_steps: How many.
        batch_size: Samples a step of this process.
        rank: Number of this process.
        world_size: Number of processes.
        num_workers: Processes that make samples; 0 does it here.
        pin_memory: Batches in page-locked memory, for copies to a GPU beside its work.
        broken: Counts the rows that cannot be used; None counts from 0 and in this process alone.
        start_method: How the workers begin: ``fork`` shares the labels; ``forkserver`` copies them, for callers with
            threads or servers of their own, which a fork does not survive.

    Raises:
        ValueError: A setting is out of range.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank: expected 0 to {world_size - 1}, got {rank}")
    if min(first_step, num_steps, num_workers) < 0 or batch_size < 1:
        raise ValueError(
            f"expected steps and workers of 0 or more and a batch of at least 1, got first_step {first_step}, "
            f"num_steps {num_steps}, num_workers {num_workers}, batch_size {batch_size}"
        )
    loader = DataLoader(
        _Steps(samples, batch_size, rank, world_size),
        batch_size=None,
        sampler=range(first_step, first_step + num_steps),
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=_as_it_is,
        worker_init_fn=_begin_worker,
        prefetch_factor=PREFETCHED if num_workers else None,
        multiprocessing_context=start_method if num_workers else None,
    )
    if broken is None:
        broken = BrokenRows(len(samples), samples.max_broken_share)
    return TrainingLoader(loader, broken)


def each_row_once(samples: Samples, group: ProcessGroup, num_workers: int, broken: BrokenRows) -> Iterator[Any]:
    """Batches of this process' share of all rows, each once; for samples in the order of their rows.

    One that cannot be used gives way to the next, which then counts twice, within ``max_broken_share``.

    Raises:
        TrainingDataError: A row cannot be used, or more of them than allowed.
    """
    count, rank = len(samples), group.rank
    size = max(1, min(EVALUATION_BATCH, count))
    stride = size * group.world_size
    loader = build_loader(
        samples,
        num_steps=-(-count // stride),
        batch_size=size,
        rank=rank,
        world_size=group.world_size,
        num_workers=num_workers,
        broken=broken,
    )
    for step, batch in enumerate(loader):
        # Beyond the last row the positions begin again: those were seen already.
        left = count - step * stride - rank * size
        if left > 0:
            yield batch if left >= size else some_of(batch, range(left))


def _as_it_is(made: Any) -> Any:
    """Keeps torch from converting a batch that is one already."""
    return made


def _begin_worker(_: int) -> None:
    """One thread: the workers are the parallelism."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
