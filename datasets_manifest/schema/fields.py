"""Documented Arrow columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyarrow as pa

from datasets_manifest.schema.error_codes import BoxSource, ErrorCode, Status

FLOATS = pa.list_(pa.float32())
FLAGS = pa.list_(pa.bool_())
CATEGORY = pa.dictionary(pa.int8(), pa.string())
ARRAY_MAP = pa.map_(pa.string(), pa.list_(pa.float32()))
SHAPE_MAP = pa.map_(pa.string(), pa.list_(pa.int32()))

CLOSED_SETS: dict[str, frozenset[str]] = {
    "status": frozenset(Status),
    "bbox_source": frozenset(BoxSource),
    "error_code": frozenset(ErrorCode),
    "left_error_code": frozenset(ErrorCode),
    "right_error_code": frozenset(ErrorCode),
}
"""Columns whose values come from a closed set."""


def column(
    name: str,
    dtype: pa.DataType,
    description: str,
    *,
    unit: str = "",
    frame: str = "",
    shape: Sequence[int] = (),
    required: bool = False,
    finite: bool = True,
    optional: bool = False,
) -> pa.Field:
    """Return an Arrow field that carries its own documentation in its metadata.

    Args:
        name: column name.
        dtype: Arrow type; a list type needs ``shape``.
        description: what the column means, one sentence.
        unit: ``px``, ``m``, ``rad``, ``1`` for a number without unit, or empty.
        frame: coordinate frame of the values, or empty.
        shape: of a list column, C order; its product is the list's fixed length.
        required: null is refused.
        finite: NaN and infinity are refused inside lists, and become null in a scalar.
        optional: a file need not have the column.
    """
    metadata = {"description": description, "unit": unit, "frame": frame, "finite": "true" if finite else "false"}
    if optional:
        metadata["optional"] = "true"
    if shape:
        metadata["shape"] = "x".join(str(n) for n in shape)
        metadata["length"] = str(math.prod(shape))
    return pa.field(name, dtype, nullable=not required, metadata={k: v for k, v in metadata.items() if v})


def field_note(field: pa.Field, key: str) -> str:
    """Return one entry of a field's documentation, by a name that ``column`` gives it; empty without one."""
    return (field.metadata or {}).get(key.encode(), b"").decode()


def fixed_length(field: pa.Field) -> int | None:
    """Return the fixed number of values of a list column, None for any other column."""
    note = field_note(field, "length")
    return int(note) if note else None
