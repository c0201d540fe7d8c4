"""Batches of an evaluation: each row once, and no other is read."""

import dataclasses

import pytest
from linear_experiment import Points
from training_rig import alone

from tasks.training.engine.broken_rows import BrokenRows
from tasks.training.engine.loader import EVALUATION_BATCH, each_row_once


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadPoints(Points):
    read: list[int] = dataclasses.field(default_factory=list)

    def find(self, position):
        self.read.append(position)
        return Points.find(self, position)


@pytest.mark.parametrize(("rank", "own"), [(0, 5), (1, 0)])
def test_few_rows_are_one_batch_of_the_first_process(rank, own):
    points = ReadPoints(length=5, seed=0, noise=0.0)
    group = dataclasses.replace(alone(), rank=rank, world_size=2)
    batches = list(each_row_once(points, group, 0, BrokenRows(5, 0.0)))
    assert [name for batch in batches for name in batch.sample_ids] == [f"p{k}" for k in range(own)]
    assert len(points.read) == 5


def test_many_rows_are_in_batches_of_one_size_but_for_the_last():
    points = ReadPoints(length=EVALUATION_BATCH + 3, seed=0, noise=0.0)
    batches = list(each_row_once(points, alone(), 0, BrokenRows(5, 0.0)))
    assert [len(batch.sample_ids) for batch in batches] == [EVALUATION_BATCH, 3]
