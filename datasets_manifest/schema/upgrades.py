"""From an older schema version to the next: what a reader does with shards that an earlier program wrote."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from datasets_manifest.schema.labels import HANDS_SCHEMA, KEYPOINTS_SCHEMA, LABEL_SCHEMA, PART_NAMES


def _with_columns(table: pa.Table, telling: str, schema: pa.Schema, names: list[str]) -> pa.Table:
    """The table with columns that were not written down, null; unchanged if it lacks the column of its kind."""
    if telling not in table.column_names:
        return table
    for name in names:
        if name not in table.column_names:
            field = schema.field(name)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select([name for name in schema.names if name in table.column_names])


def _labels_with_joint_seen(table: pa.Table) -> pa.Table:
    """Version 1 to 2."""
    return _with_columns(table, "reproj_rel", LABEL_SCHEMA, ["joint_seen"])


def _parts_with_details(table: pa.Table) -> pa.Table:
    """Version 2 to 3."""
    table = _with_columns(table, "part_valid", KEYPOINTS_SCHEMA, [f"{part}_detail" for part in PART_NAMES])
    return _with_columns(table, "left_valid", HANDS_SCHEMA, ["left_error_detail", "right_error_detail"])


UPGRADES: dict[int, Callable[[pa.Table], pa.Table]] = {1: _labels_with_joint_seen, 2: _parts_with_details}
"""Schema version v -> function that turns a table of version v into one of version v + 1."""
