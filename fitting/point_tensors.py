"""The tables of sparse points as tensors."""

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from fitting.sparse_tables import PointTables


@dataclass(frozen=True, kw_only=True, slots=True)
class PointTensors:
    """What the forward pass takes of `PointTables`; each has the shape it has there."""

    rest: Tensor
    directions: Tensor
    eyelids: Tensor
    skin: Tensor
    head: Tensor
    corner: Tensor
    correctives: Tensor | None

    @classmethod
    def from_tables(cls, tables: PointTables, tensor: Any) -> "PointTensors":
        """Copies numpy tables into tensors."""
        values = {field.name: getattr(tables, field.name) for field in fields(cls)}
        made: dict[str, Any] = {name: None if value is None else tensor(value) for name, value in values.items()}
        return cls(**made)
