"""The columns of a selection: which a model learns from, what a gap in them means, and whether their units are ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.ehm_fields import LEARNT_FIELDS
from datasets_manifest.schema.fields import field_note, fixed_length
from datasets_manifest.schema.labels import KEY_COLUMNS, PART_NAMES
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.stores import Place

QUALITIES = tuple(f"{part}_quality" for part in PART_NAMES)
"""In the order of the parts."""
FLAGS = (*(f"{part}_valid" for part in PART_NAMES), "body_group_valid", "eyes_valid", "eyelids_valid", "joint_seen")
"""Columns that say what of a person supervises."""
COLUMNS = (
    *KEY_COLUMNS,
    "bbox_xyxy",
    "keypoints_2d",
    "focal_px",
    "principal_px",
    *(field.name for field in LEARNT_FIELDS),
    "transl_m",
    *FLAGS,
    *QUALITIES,
)
"""What a model learns from, of the label schema; where people stand is for what draws them into their photos."""
WHO_IS_WHO = ("group", "track")
"""Columns of data sets with groups besides: which rows show the same scene, and the same person."""

_ALWAYS = ("bbox_xyxy", "keypoints_2d", "focal_px", "principal_px")
_OF_PART = {part: tuple(field.name for field in LEARNT_FIELDS if field.part == part) for part in PART_NAMES}
"""Columns that a part needs in order to supervise."""
_FILL = {field.name: field.default for field in LEARNT_FIELDS} | {"joint_seen": True, "body_group_valid": True}
_FILL |= dict.fromkeys(QUALITIES, 1)
"""What stands where a column is absent; 0 elsewhere."""


def _fixed(field: pa.Field) -> pa.Field:
    length = fixed_length(field)
    return field if length is None else field.with_type(pa.list_(field.type.value_type, length))


def check_conventions(path: Place, found: pa.Schema, schema: pa.Schema) -> None:
    """Raise ShardError where a shard's columns, as found in the file, state another unit or frame than the schema's."""
    for name in COLUMNS:
        if name not in found.names:
            continue
        for note in ("unit", "frame"):
            stated, expected = field_note(found.field(name), note), field_note(schema.field(name), note)
            if stated != expected:
                raise ShardError(
                    f"Shard {path}: {name} has the {note} {stated or 'unstated'!r}, this program expects "
                    f"{expected or 'none'!r}; convert the labels or annotate again."
                )


def check_lengths(path: Place, table: pa.Table, schema: pa.Schema) -> None:
    """Raise ShardError where a list has another number of values than the schema says."""
    for name in COLUMNS:
        expected = fixed_length(schema.field(name))
        if expected is None:
            continue
        lengths = pc.list_value_length(table[name])
        other = [n for n in pc.unique(lengths).to_pylist() if n is not None and n != expected]
        if other:
            raise ShardError(
                f"Shard {path}: {name} has {other[0]} numbers a row, expected are {expected}; train with that many or "
                "annotate again."
            )


def gaps(table: pa.Table) -> list[str]:
    """What each row lacks of the parts it says are valid: ``no <column>`` or ``<column> is not finite``, or empty."""
    found = [""] * table.num_rows
    needed = {part: table[f"{part}_valid"].to_numpy(zero_copy_only=False).astype(bool) for part in PART_NAMES}
    wanted = [(name, np.ones(table.num_rows, bool)) for name in _ALWAYS]
    wanted += [(name, needed[part]) for part, names in _OF_PART.items() for name in names]
    for name, rows in wanted:
        absent, broken = _absent(table[name]), _not_finite(table[name])
        for i in np.flatnonzero((absent | broken) & rows):
            found[i] = found[i] or (f"no {name}" if absent[i] else f"{name} is not finite")
    return found


def has_body(table: pa.Table) -> np.ndarray:
    """(N,) rows that state how the body is turned, valid or not: the head of a face is turned with it."""
    return ~np.any([_absent(table[name]) | _not_finite(table[name]) for name in ("global_orient", "body_pose")], axis=0)


def filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """COLUMNS of a table with every gap filled and lists as fixed-size lists, which have one matrix behind them; and
    those of WHO_IS_WHO that there are, as they are."""
    fields = [_fixed(schema.field(name)) for name in COLUMNS]
    own = pa.Table.from_arrays([_column(table[field.name], field) for field in fields], schema=pa.schema(fields))
    for name in WHO_IS_WHO:
        own = own.append_column(table.schema.field(name), table[name]) if name in table.column_names else own
    return own


def alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Tables of ``filled`` with the same columns: of data sets without groups nobody is in one, if others have them."""
    for name in WHO_IS_WHO:
        stated = next((table.schema.field(name) for table in tables if name in table.column_names), None)
        tables = [
            table
            if stated is None or name in table.column_names
            else table.append_column(stated, pa.nulls(table.num_rows, stated.type))
            for table in tables
        ]
    return list(tables)


def _column(column: pa.ChunkedArray, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    fill = _FILL.get(field.name, False if pa.types.is_boolean(field.type) else 0)
    if not pa.types.is_fixed_size_list(field.type):
        if pa.types.is_floating(field.type):
            column = pc.if_else(pc.is_finite(column), column, None)
        return column.fill_null(pa.scalar(fill, field.type)) if column.null_count else column
    usable = ~(_absent(column) | _not_finite(column))
    is_flag = pa.types.is_boolean(field.type.value_type)
    values = np.full((len(column), field.type.list_size), fill, bool if is_flag else np.float32)
    flat = column.filter(pa.array(usable)).combine_chunks()
    values[usable] = pc.list_flatten(flat).to_numpy(zero_copy_only=False).reshape(-1, field.type.list_size)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=field.type)  # type: ignore[arg-type]


def _absent(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool."""
    return pc.is_null(column).to_numpy(zero_copy_only=False).astype(bool)


def _not_finite(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) bool: some number of the row is null, NaN or infinite."""
    broken = np.zeros(len(column), bool)
    is_list = pa.types.is_list(column.type)
    values = pc.list_flatten(column) if is_list else column
    if pa.types.is_floating(values.type):
        finite = pc.fill_null(pc.is_finite(values), False)  # type: ignore[arg-type]
        bad = ~finite.to_numpy(zero_copy_only=False).astype(bool)
        if bad.any():
            rows = pc.list_parent_indices(column).to_numpy() if is_list else np.arange(len(column))
            broken[rows[bad]] = True
    return broken
