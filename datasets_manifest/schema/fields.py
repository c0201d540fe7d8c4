"""Documented Arrow columns, and a table made from rows with every length, code and number checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
    """
    metadata = {"description": description, "unit": unit, "frame": frame, "finite": "true" if finite else "false"}
    if shape:
        metadata["shape"] = "x".join(str(n) for n in shape)
        metadata["length"] = str(math.prod(shape))
    return pa.field(name, dtype, nullable=not required, metadata={k: v for k, v in metadata.items() if v})


def field_note(field: pa.Field, key: str) -> str:
    """Return one entry of a field's documentation (``description``, ``unit``, ``frame``, ``shape``, ``length``)."""
    return (field.metadata or {}).get(key.encode(), b"").decode()


def fixed_length(field: pa.Field) -> int | None:
    """Return the fixed number of values of a list column, None for any other column."""
    note = field_note(field, "length")
    return int(note) if note else None


def table_from_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Build a table from rows, refusing whatever a reader could stumble over.

    A row is a mapping from column to value; an absent column is null. Lists take any array of the right size
    (a (133,3) array for a list of 399). In scalar float columns that must be finite, NaN and infinity become null.

    Raises:
        ValueError: a column is unknown, a required value is null, a list has another length, a list that must be finite
            is not, a category is outside its closed set, status and error code disagree, or a sample_id occurs twice.
    """
    known = set(schema.names)
    for index, row in enumerate(rows):
        unknown = sorted(set(row) - known)
        if unknown:
            raise ValueError(
                f"Sample {_label(row, index)} has the column(s) {', '.join(unknown)}, which the schema does not know; "
                f"known are {', '.join(schema.names)}."
            )
    if "error_code" in known and "status" in known:
        _check_states(rows)
    if "sample_id" in known:
        _check_unique([row.get("sample_id") for row in rows])
    return pa.Table.from_arrays([_column_array(rows, field) for field in schema], schema=schema)


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Turn named arrays of one person into the two map columns ``evidence`` (flat float32) and ``evidence_shape``."""
    return {
        "evidence": {name: np.asarray(a, dtype=np.float32).reshape(-1) for name, a in arrays.items()},
        "evidence_shape": {name: np.asarray(np.shape(a), dtype=np.int32) for name, a in arrays.items()},
    }


def unpack_arrays(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Give back the named float32 arrays of a row written with ``pack_arrays`` (row as of ``Table.to_pylist``)."""
    shapes = dict(row["evidence_shape"] or ())
    return {
        name: np.asarray(values, dtype=np.float32).reshape([int(n) for n in shapes[name]])
        for name, values in dict(row["evidence"] or ()).items()
    }


def _label(row: Mapping[str, Any], index: int) -> str:
    return repr(row.get("sample_id") or f"row {index}")


def _check_states(rows: Sequence[Mapping[str, Any]]) -> None:
    for index, row in enumerate(rows):
        status, code = row.get("status"), row.get("error_code")
        if status == Status.FAILED and code is None:
            raise ValueError(f"Sample {_label(row, index)} failed without an error_code; give one of ErrorCode.")
        if status == Status.OK and code is not None:
            raise ValueError(f"Sample {_label(row, index)} is ok but has the error_code {code!s}; it must be null.")


def _check_unique(sample_ids: Sequence[Any]) -> None:
    seen: set[Any] = set()
    for sample_id in sample_ids:
        if sample_id in seen:
            raise ValueError(f"Sample {sample_id!r} occurs twice in one shard; a sample_id is unique in a data set.")
        seen.add(sample_id)


def _column_array(rows: Sequence[Mapping[str, Any]], field: pa.Field) -> pa.Array:
    values = [row.get(field.name) for row in rows]
    if not field.nullable:
        for index, value in enumerate(values):
            if value is None:
                raise ValueError(f"Sample {_label(rows[index], index)} has no {field.name}; the column is required.")
    if pa.types.is_map(field.type):
        pairs = [None if v is None else [(k, np.asarray(a).reshape(-1)) for k, a in dict(v).items()] for v in values]
        return pa.array(pairs, type=field.type)
    if pa.types.is_list(field.type):
        return _list_array(rows, field, values)
    if pa.types.is_dictionary(field.type):
        return _category_array(rows, field, values)
    if pa.types.is_floating(field.type):
        must_be_finite = field_note(field, "finite") == "true"
        values = [None if v is None or (must_be_finite and not math.isfinite(v)) else float(v) for v in values]
    try:
        return pa.array([v.item() if isinstance(v, np.generic) else v for v in values], type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        ids = f"{_label(rows[0], 0)} .. {_label(rows[-1], len(rows) - 1)}"
        raise ValueError(f"Column {field.name} of samples {ids} does not hold {field.type}: {error}") from error


def _list_array(rows: Sequence[Mapping[str, Any]], field: pa.Field, values: list[Any]) -> pa.Array:
    """List column (N,) of fixed length L from values that are None or arrays with L elements."""
    length = fixed_length(field)
    if length is None:
        return pa.array(values, type=field.type)
    is_float = pa.types.is_floating(field.type.value_type)
    must_be_finite = is_float and field_note(field, "finite") == "true"
    flat: list[np.ndarray] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.size != length:
            raise ValueError(
                f"Sample {_label(rows[index], index)}: {field.name} must have {length} numbers "
                f"({field_note(field, 'shape')}), got an array of shape {array.shape} and type {array.dtype}."
            )
        array = array.reshape(-1).astype(np.float32 if is_float else field.type.value_type.to_pandas_dtype())
        if must_be_finite and not np.isfinite(array).all():
            raise ValueError(
                f"Sample {_label(rows[index], index)}: {field.name} holds a value that is not finite; "
                f"write null and a failed status instead."
            )
        flat.append(array)
    absent = np.array([v is None for v in values], dtype=bool)
    offsets = np.concatenate([[0], np.cumsum(np.where(absent, 0, length))]).astype(np.int32)
    joined = np.concatenate(flat) if flat else np.zeros(0, dtype=np.float32 if is_float else bool)
    mask = pa.array(absent, type=pa.bool_()) if len(values) else None
    return pa.ListArray.from_arrays(
        pa.array(offsets, type=pa.int32()), pa.array(joined, type=field.type.value_type), type=field.type, mask=mask
    )


def _category_array(rows: Sequence[Mapping[str, Any]], field: pa.Field, values: list[Any]) -> pa.Array:
    allowed = CLOSED_SETS.get(field.name)
    for index, value in enumerate(values):
        if value is not None and allowed is not None and value not in allowed:
            raise ValueError(
                f"Sample {_label(rows[index], index)}: {field.name} is {value!r}, expected one of "
                f"{', '.join(sorted(allowed))}."
            )
    words = pa.array([None if v is None else str(v) for v in values], type=pa.string())
    return words.dictionary_encode().cast(field.type)
