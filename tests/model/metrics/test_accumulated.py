"""Sums over batches and processes: any split of the people comes to the same."""

from typing import Any

import numpy as np
import pytest
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from model.metrics.accumulated import MeanErrors
from model.metrics.keypoints import PCK

ERRORS = np.random.default_rng(0).normal(50, 9, (31, 2))
ERRORS[3, 1] = ERRORS[8] = np.nan


def mean_of(rows):
    means = MeanErrors(["a_mm"])
    means.update({"a_mm": ERRORS[rows], "other": np.zeros(1)})
    return means


@pytest.mark.parametrize("cuts", [[10], [1, 30], [9, 9, 20]])
def test_parts_add_up_to_the_whole(cuts):
    total = MeanErrors(["a_mm"])
    for rows in np.split(np.arange(31), cuts):
        total.add(mean_of(rows))
    assert total.compute()["a_mm"] == pytest.approx(np.nanmean(ERRORS), rel=1e-12)
    assert total.counts == {"a_mm": 59}


def test_nobody_has_a_mean_of_nan():
    assert np.isnan(MeanErrors(["a_mm"]).compute()["a_mm"])
    assert MeanErrors(["a_mm"]).over_ranks().counts == {"a_mm": 0}


def test_infinite_and_missing_errors_are_refused():
    with pytest.raises(ValueError, match="b_mm: person 1 has an infinite error"):
        MeanErrors(["b_mm"]).update({"b_mm": np.array([1.0, np.inf])})
    with pytest.raises(ValueError, match="got none of b_mm"):
        MeanErrors(["b_mm"]).update({})


def test_only_the_same_figures_add_up():
    others: list[Any] = [MeanErrors(["a_mm", "b_mm"]), PCK(1, (0.1,))]
    for other in others:
        with pytest.raises(ValueError, match="expected sums"):
            MeanErrors(["a_mm"]).add(other)


def _on_a_rank(rank, address):
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    own = mean_of(slice(rank, None, 2))
    total, again = own.over_ranks(), own.over_ranks()
    assert total.compute()["a_mm"] == again.compute()["a_mm"] == pytest.approx(np.nanmean(ERRORS), rel=1e-12)
    assert own.counts["a_mm"] < total.counts["a_mm"] == 59
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_come_to_what_one_comes_to(tmp_path):
    spawn(_on_a_rank, (f"file://{tmp_path / 'meet'}",), nprocs=2)
