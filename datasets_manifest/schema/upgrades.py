"""From an older schema version to the next: what a reader does with shards that an earlier program wrote."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from datasets_manifest.schema.labels import LABEL_SCHEMA


def _labels_with_joint_seen(table: pa.Table) -> pa.Table:
    """Version 1 to 2: labels get `joint_seen`, null because it was not written down; other parts stay as they are."""
    field = LABEL_SCHEMA.field("joint_seen")
    is_label = "reproj_rel" in table.column_names
    if not is_label or field.name in table.column_names:
        return table
    return table.append_column(field, pa.nulls(table.num_rows, field.type)).select(
        [name for name in LABEL_SCHEMA.names if name == field.name or name in table.column_names]
    )


UPGRADES: dict[int, Callable[[pa.Table], pa.Table]] = {1: _labels_with_joint_seen}
"""Schema version v -> function that turns a table of version v into one of version v + 1."""
