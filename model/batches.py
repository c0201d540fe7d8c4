"""Batches: nested dataclasses, tuples, lists and dicts of tensors that share their first dimension B.

What is no tensor (None, a name, a setting) stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def map_tensors(batch: Batch, function: Callable[..., Any], *others: Any) -> Batch:
    """The same containers with a function applied to every tensor, for example ``lambda t: t.to(device)``.

    Args:
        batch: The batch.
        function: Takes the tensor, then those in its place in the others.
        others: Batches of the same build.
    """
    kind: Any = type(batch)
    if isinstance(batch, Tensor):
        return function(batch, *others)
    if dataclasses.is_dataclass(batch):
        names = [field.name for field in dataclasses.fields(batch)]
        parts = {name: [getattr(one, name) for one in (batch, *others)] for name in names}
        return kind(**{name: map_tensors(part, function, *rest) for name, (part, *rest) in parts.items()})
    if isinstance(batch, Mapping):
        return kind({key: map_tensors(batch[key], function, *(other[key] for other in others)) for key in batch})
    if isinstance(batch, (tuple, list)):
        values = [map_tensors(part, function, *rest) for part, *rest in zip(batch, *others, strict=True)]
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    return batch


def tensors_of(batch: Any) -> list[Tensor]:
    """Every tensor of a batch, in a fixed order."""
    found: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        found.append(value)
        return value

    map_tensors(batch, keep)
    return found


def take_rows(batch: Batch, index: Tensor) -> Batch:
    """Rows ``index`` (R,) of every tensor, as copies."""
    return map_tensors(batch, lambda value: value.index_select(0, index))


def choose_rows(mask: Tensor, yes: Batch, no: Batch) -> Batch:
    """``yes`` where the mask, (B,) or of more leading dimensions, holds, else ``no``; NaN not chosen does not pass."""
    return map_tensors(yes, lambda a, b: torch.where(mask.view(*mask.shape, *[1] * (a.dim() - mask.dim())), a, b), no)


def put_rows(target: Batch, index: Tensor, source: Batch) -> None:
    """Writes the rows of ``source`` (R, ...) into the rows ``index`` (R,) of ``target``, in place."""
    map_tensors(target, lambda a, b: a.index_copy_(0, index, b), source)


def cat_rows(batches: Sequence[Batch]) -> Batch:
    """Batches of the same build, one after the other."""
    first, *others = batches
    return map_tensors(first, lambda *values: torch.cat(values), *others) if others else first
