"""Row operations on batches: a batch is a dict, or a dataclass, of tensors that share their first dimension B."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def map_tensors(function: Any, *batches: Any) -> Any:
    """Applies `function` to the tensors of equally built batches and rebuilds the container."""
    first = batches[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return function(*batches)
    if isinstance(first, dict):
        return {key: map_tensors(function, *(batch[key] for batch in batches)) for key in first}
    if is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in fields(first)]
        columns = {name: [getattr(batch, name) for batch in batches] for name in names}
        return type(first)(**{name: map_tensors(function, *column) for name, column in columns.items()})
    raise TypeError(f"a batch is a tensor, a dict or a dataclass of tensors, got {type(first).__name__}")


def take_rows(batch: Batch, index: Tensor) -> Batch:
    """Rows `index` (R,) of every tensor of the batch, as copies."""
    return map_tensors(lambda value: value.index_select(0, index), batch)


def choose_rows(mask: Tensor, yes: Batch, no: Batch) -> Batch:
    """Row by row: `yes` where the mask (B,) holds, else `no`. A NaN of the row that is not chosen does not pass."""
    return map_tensors(lambda a, b: torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b), yes, no)


def put_rows(target: Batch, index: Tensor, source: Batch) -> None:
    """Writes the rows of `source` (R, ...) into the rows `index` (R,) of `target`, in place."""
    map_tensors(lambda a, b: a.index_copy_(0, index, b), target, source)


def copy_rows(batch: Batch) -> Batch:
    """A copy that shares no memory with the batch."""
    return map_tensors(torch.clone, batch)


def repeat_rows(batch: Batch, times: int) -> Batch:
    """Each row `times` times, one after the other: (B, ...) -> (B * times, ...)."""
    return map_tensors(lambda value: value.repeat_interleave(times, 0), batch)


def cat_rows(batches: list[Batch]) -> Batch:
    """Equally built batches, one after the other."""
    return batches[0] if len(batches) == 1 else map_tensors(lambda *values: torch.cat(values), *batches)


def grown_index(count: int, multiple: int, device: torch.device) -> Tensor:
    """Rows 0 .. count - 1, then row 0 again until their number is a multiple."""
    index = torch.arange(-(-count // multiple) * multiple, device=device)
    return torch.where(index < count, index, 0)
