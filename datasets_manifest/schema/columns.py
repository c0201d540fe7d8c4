"""Columns as arrays, straight from Arrow's buffers, and back: a table from columns, every value checked.

Legend: N rows. A list column of fixed length is an array (N, *shape) with the shape that its field states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.fields import CLOSED_SETS, field_note, fixed_length

Values = np.ndarray | pa.Array | pa.ChunkedArray | Sequence[Any]
"""A column to be written: an array (N, ...), Arrow values, or a sequence with None where a row has no value."""


class Columns(Mapping[str, np.ndarray]):
    """Columns of a table as read-only arrays, each made when it is first asked for.

    Where a row has no value, a float is NaN, a flag False, a whole number 0 and a text None; ``has`` tells.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._arrays: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            self._arrays[name] = array_of(self.table[name], self.table.schema.field(name))
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.column_names)

    def __len__(self) -> int:
        return self.table.num_columns

    @property
    def num_rows(self) -> int:
        """N."""
        return self.table.num_rows

    def has(self, name: str) -> np.ndarray:
        """(N,) which rows have a value."""
        return pc.is_valid(self.table[name]).to_numpy(zero_copy_only=False)

    def take(self, rows: np.ndarray) -> Columns:
        """Some rows, by their numbers or by a mask (N,)."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Columns(self.table.take(pa.array(chosen, pa.int64())))


def array_of(column: pa.ChunkedArray, field: pa.Field) -> np.ndarray:
    """A column as an array (N,) or (N, *shape), see ``Columns``; a view of Arrow's memory where no row is null."""
    # One chunk is taken as it is: combining would copy it.
    values: pa.Array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # type: ignore[assignment]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    length = fixed_length(field)
    if length is None:
        return _plain_array(values)
    shape = [int(n) for n in field_note(field, "shape").split("x")]
    flat = values.flatten().to_numpy(zero_copy_only=False)
    if not values.null_count:
        return flat.reshape(-1, *shape)
    dense = np.full((len(values), length), np.nan if flat.dtype.kind == "f" else 0, flat.dtype)
    dense[values.is_valid().to_numpy(zero_copy_only=False)] = flat.reshape(-1, length)
    return dense.reshape(-1, *shape)


def _plain_array(values: pa.Array) -> np.ndarray:
    has_own_null = any(kind(values.type) for kind in (pa.types.is_floating, pa.types.is_string, pa.types.is_struct))
    if values.null_count and not has_own_null:
        values = values.fill_null(False if pa.types.is_boolean(values.type) else 0)
    return values.to_numpy(zero_copy_only=False)


def has_status(table: pa.Table, status: Status) -> np.ndarray:
    """(N,) which rows have this status."""
    return table["status"].cast(pa.string()).to_numpy() == status.value


def table_from_columns(columns: Mapping[str, Values], schema: pa.Schema) -> pa.Table:
    """Build a table from columns, refusing whatever a reader could stumble over.

    An absent column is null. In scalar float columns that must be finite, NaN and infinity become null.

    Args:
        columns: Values by column, all of the same number of rows.
        schema: Columns of the table.

    Raises:
        ValueError: A column is unknown or has another number of rows, a required value is null, a list has another
            length, a list that must be finite is not, a category is outside its closed set, status and error code
            disagree, or a sample_id occurs twice.
    """
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise ValueError(
            f"{_Namer(columns)(0)} has the column(s) {', '.join(unknown)}, which the schema does not know; "
            f"known are {', '.join(schema.names)}."
        )
    counts = {name: len(values) for name, values in columns.items()}
    num_rows = next(iter(counts.values()), 0)
    if set(counts.values()) - {num_rows}:
        raise ValueError(f"The columns of a table must have the same number of rows, got {counts}.")
    name_of = _Namer(columns)
    arrays = [
        _array(columns[field.name], field, name_of) if field.name in columns else pa.nulls(num_rows, field.type)
        for field in schema
    ]
    for field, array in zip(schema, arrays, strict=True):
        if not field.nullable and array.null_count:
            first = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
            raise ValueError(f"{name_of(first)} has no {field.name}; the column is required.")
    table = pa.Table.from_arrays(arrays, schema=schema)
    _check_rows(table, name_of)
    return table


def joined(tables: Sequence[pa.Table], schema: pa.Schema, places: Sequence[np.ndarray] | None = None) -> pa.Table:
    """One table of several of the same schema, checked as a whole.

    Args:
        tables: Tables, one below the other; none gives a table without rows.
        schema: Their schema.
        places: For each table the places (N,) that its rows have in the whole; None: as they come.
    """
    table = pa.concat_tables([schema.empty_table(), *tables]).unify_dictionaries().combine_chunks()
    if places:
        table = table.take(pa.array(np.argsort(np.concatenate(places), kind="stable"), pa.int64()))
    _check_rows(table, _Namer({"sample_id": table["sample_id"]} if "sample_id" in schema.names else {}))
    return table


def check_values(table: pa.Table) -> None:
    """Refuses what no writer of these columns would have written, in a file that others may have changed.

    Raises:
        ValueError: A row has another number of values than its column, or one that is not finite where it must be.
    """
    name_of = _Namer({name: table[name] for name in ("sample_id",) if name in table.column_names})
    for field in table.schema:
        values = table[field.name].combine_chunks()
        if fixed_length(field) is not None:
            _check_vectors(values, field, name_of)
        elif pa.types.is_floating(field.type) and field_note(field, "finite") == "true":
            wrong = np.flatnonzero(np.isinf(values.to_numpy(zero_copy_only=False)))
            if len(wrong):
                raise ValueError(f"{name_of(int(wrong[0]))}: {field.name} is not finite; it must be a number or null.")


class _Namer:
    """What a message calls a row."""

    def __init__(self, columns: Mapping[str, Values]) -> None:
        self._ids = columns.get("sample_id")

    def __call__(self, row: int) -> str:
        found = None if self._ids is None or row >= len(self._ids) else self._ids[row]
        found = found.as_py() if found is not None and isinstance(found, pa.Scalar) else found
        return f"Sample {found or f'row {row}'!r}"


def _array(values: Values, field: pa.Field, name_of: _Namer) -> pa.Array:
    """Arrow values of a column of the schema, checked."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kinds = set(map(type, values)) if isinstance(values, list) else {object}
    if kinds == {type(None)}:
        return pa.nulls(len(values), field.type)
    if fixed_length(field) is not None:
        array = values if isinstance(values, pa.Array) else _vectors(values, field, name_of)
        _check_vectors(array, field, name_of)
        return array.cast(field.type)
    if not isinstance(values, pa.Array) and pa.types.is_dictionary(field.type):
        return _categories(values, field, name_of)
    if not isinstance(values, pa.Array) and pa.types.is_floating(field.type):
        values = _floats(values, field)
    try:
        if isinstance(values, pa.Array):
            return values.cast(field.type)
        if isinstance(values, np.ndarray) and values.dtype != object:
            return pa.array(values).cast(field.type)
        if not isinstance(values, list) or any(issubclass(kind, np.generic) for kind in kinds):
            values = [v.item() if isinstance(v, np.generic) else v for v in values]
        return pa.array(values, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        ids = f"{name_of(0)} .. {name_of(len(values) - 1)}"
        raise ValueError(f"Column {field.name} of {ids} does not hold {field.type}: {error}") from error


def _floats(values: np.ndarray | Sequence[Any], field: pa.Field) -> pa.Array:
    """Numbers (N,); None, and what is not finite where the field must be, is null."""
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    if field_note(field, "finite") == "true":
        return pa.array(numbers, field.type, mask=~np.isfinite(numbers))
    return pa.array(numbers, field.type, mask=np.array([v is None for v in values], bool))


def _vectors(values: np.ndarray | Sequence[Any], field: pa.Field, name_of: _Namer) -> pa.Array:
    """List column from an array (N, ...), or from arrays and None."""
    length, kind = _length(field), field.type.value_type.to_pandas_dtype()
    if isinstance(values, np.ndarray) and values.dtype != object:
        absent, block = np.zeros(len(values), bool), values
        _check_vector_shape(values[0], field, name_of, 0) if len(values) else None
    else:
        absent = np.array([v is None for v in values], bool)
        present = [(row, np.asarray(v)) for row, v in enumerate(values) if v is not None]
        for row, array in present:
            _check_vector_shape(array, field, name_of, row)
        block = np.stack([array.reshape(-1) for _, array in present]) if present else np.zeros((0, length), kind)
    flat = np.ascontiguousarray(block).reshape(-1).astype(kind, copy=False)
    offsets = np.concatenate([[0], np.cumsum(np.where(absent, 0, length))]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(flat), mask=pa.array(absent) if absent.any() else None
    )


def _length(field: pa.Field) -> int:
    return fixed_length(field) or 0


def _check_vector_shape(array: np.ndarray, field: pa.Field, name_of: _Namer, row: int) -> None:
    if array.dtype.kind not in "fiub" or array.size != fixed_length(field):
        raise ValueError(
            f"{name_of(row)}: {field.name} must have {fixed_length(field)} numbers ({field_note(field, 'shape')}), got "
            f"an array of shape {array.shape} and type {array.dtype}."
        )


def _check_vectors(array: pa.Array, field: pa.Field, name_of: _Namer) -> None:
    """Refuses lists of another length, and what is not finite where it must be."""
    lengths = pc.list_value_length(array).fill_null(_length(field)).to_numpy(zero_copy_only=False)
    other = np.flatnonzero(lengths != _length(field))
    if len(other):
        row = int(other[0])
        raise ValueError(f"{name_of(row)}: {field.name} must have {fixed_length(field)} numbers, got {lengths[row]}.")
    if not pa.types.is_floating(field.type.value_type) or field_note(field, "finite") != "true":
        return
    flat = array.flatten().to_numpy(zero_copy_only=False)
    if not np.isfinite(flat).all():
        bad = np.flatnonzero(~np.isfinite(flat).reshape(-1, _length(field)).all(1))[0]
        row = int(np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))[bad])
        raise ValueError(
            f"{name_of(row)}: {field.name} holds a value that is not finite; write null and a failed status instead."
        )


def _categories(values: Sequence[Any] | np.ndarray, field: pa.Field, name_of: _Namer) -> pa.Array:
    allowed = CLOSED_SETS.get(field.name)
    words = {value: None if value is None else str(value) for value in dict.fromkeys(values)}
    for value in words:
        if value is not None and allowed is not None and value not in allowed:
            row = list(values).index(value)
            raise ValueError(
                f"{name_of(row)}: {field.name} is {value!r}, expected one of {', '.join(sorted(allowed))}."
            )
    return pa.array([words[value] for value in values], type=pa.string()).dictionary_encode().cast(field.type)


def _check_rows(table: pa.Table, name_of: _Namer) -> None:
    """What holds between columns: status and error code agree, nobody occurs twice."""
    names = set(table.column_names)
    if {"status", "error_code"} <= names:
        is_coded = pc.is_valid(table["error_code"]).to_numpy(zero_copy_only=False).astype(bool)

        def first(state: Status, wrong: np.ndarray) -> int | None:
            rows = np.flatnonzero(has_status(table, state) & wrong)
            return int(rows[0]) if len(rows) else None

        if (row := first(Status.FAILED, ~is_coded)) is not None:
            raise ValueError(f"{name_of(row)} failed without an error_code; give one of ErrorCode.")
        if (row := first(Status.OK, is_coded)) is not None:
            code = table["error_code"][row].as_py()
            raise ValueError(f"{name_of(row)} is ok but has the error_code {code}; it must be null.")
    if "sample_id" in names and pc.count_distinct(table["sample_id"]).as_py() != table.num_rows:
        ids = table["sample_id"].to_pylist()
        twice = next(sample_id for row, sample_id in enumerate(ids) if sample_id in ids[:row])
        raise ValueError(f"Sample {twice!r} occurs twice in one shard; a sample_id is unique in a data set.")
