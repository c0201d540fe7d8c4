"""Batches keep their build; rows are taken, chosen and put together without touching others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from model.batches import cat_rows, choose_rows, map_tensors, put_rows, take_rows, tensors_of


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclass(frozen=True, slots=True)
class People:
    pose: Tensor
    pair: Pair
    parts: dict[str, Any]
    names: tuple[str, ...] = ("a", "b")
    place: Tensor | None = None


def people(count: int = 2) -> People:
    rows = torch.arange(count, dtype=torch.float32)
    return People(
        pose=rows[:, None, None].expand(count, 2, 3), pair=Pair(rows, -rows), parts={"more": [rows + 5], "n": 3}
    )


def test_a_function_meets_every_tensor_and_all_else_stays() -> None:
    doubled = map_tensors(people(), lambda tensor: 2 * tensor)
    assert isinstance(doubled.pair, Pair)
    assert doubled.names == ("a", "b")
    assert doubled.parts["n"] == 3
    assert doubled.place is None
    for found, given in zip(tensors_of(doubled), tensors_of(people()), strict=True):
        assert torch.equal(found, 2 * given)
    assert len(tensors_of(doubled)) == 4


def test_rows_taken_and_put_together_are_the_batch() -> None:
    parts = [take_rows(people(5), torch.tensor(rows)) for rows in ([0, 1, 2], [3], [4])]
    for found, given in zip(tensors_of(cat_rows(parts)), tensors_of(people(5)), strict=True):
        assert torch.equal(found, given)


def test_taken_rows_share_no_memory() -> None:
    given = people()
    taken = take_rows(given, torch.tensor([0, 1]))
    taken.pair.first.zero_()
    assert given.pair.first.tolist() == [0.0, 1.0]


def test_rows_are_put_where_they_were_taken_and_nowhere_else() -> None:
    index, given = torch.tensor([3, 1]), map_tensors(people(5), torch.clone)
    put_rows(given, index, map_tensors(take_rows(given, index), lambda tensor: tensor + 100))
    for found, before in zip(tensors_of(given), tensors_of(people(5)), strict=True):
        assert torch.equal(found[index], before[index] + 100)
        assert torch.equal(found[[0, 2, 4]], before[[0, 2, 4]])


def test_a_nan_of_the_row_not_chosen_does_not_pass() -> None:
    broken = map_tensors(people(), lambda tensor: torch.full_like(tensor, torch.nan))
    chosen = choose_rows(torch.tensor([False, True]), broken, people())
    for found, given in zip(tensors_of(chosen), tensors_of(people()), strict=True):
        assert torch.equal(found[0], given[0])
        assert found[1].isnan().all()


def test_batches_of_another_build_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        map_tensors([torch.ones(1), torch.ones(1)], torch.add, [torch.ones(1)])
