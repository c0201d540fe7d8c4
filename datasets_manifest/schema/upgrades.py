"""From an older schema version to the next: what a reader does with shards that an earlier program wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa

from datasets_manifest.schema.labels import BODY_GROUP_NAMES, LABEL_SCHEMA, PART_NAMES
from datasets_manifest.schema.part_files import FACE_SCHEMA, HANDS_SCHEMA, KEYPOINTS_SCHEMA
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema


def _with_columns(
    table: pa.Table, telling: str, schema: pa.Schema, columns: Mapping[str, pa.ChunkedArray | bool | None]
) -> pa.Table:
    """The table with columns that it does not have: values (N,), one value for all rows, or None for null.

    Unchanged if it lacks the column of its kind.
    """
    if telling not in table.column_names:
        return table
    for name, value in columns.items():
        if name not in table.column_names:
            field = schema.field(name)
            if not isinstance(value, pa.ChunkedArray):
                value = pa.array([value] * table.num_rows, field.type)
            table = table.append_column(field, value)
    return table.select([name for name in schema.names if name in table.column_names])


def _labels_with_joint_seen(table: pa.Table) -> pa.Table:
    """Version 1 to 2."""
    return _with_columns(table, "reproj_rel", LABEL_SCHEMA, {"joint_seen": None})


def _parts_with_details(table: pa.Table) -> pa.Table:
    """Version 2 to 3."""
    table = _with_columns(table, "part_valid", KEYPOINTS_SCHEMA, {f"{part}_detail": None for part in PART_NAMES})
    details = {"left_error_detail": None, "right_error_detail": None}
    return _with_columns(table, "left_valid", HANDS_SCHEMA, details)


def _qualities_and_flags_of_parts(table: pa.Table) -> pa.Table:
    """Version 3 to 4. No backend had looked at the eyes, each at the eyelids, and the quality was that of the body."""
    if "reproj_rel" in table.column_names:
        stated = {
            "eyes_valid": False,
            "eyelids_valid": table["face_valid"],
            "body_quality": table["quality"],
        }
        unsaid = dict.fromkeys(["body_group_valid", "body_group_detail", *(f"{part}_quality" for part in PART_NAMES)])
        table = _with_columns(table, "reproj_rel", LABEL_SCHEMA, unsaid | stated)
    if "crop_camera" in table.column_names:
        return _predictions_with_seen(table)
    if "head_orient" in table.column_names:
        flags = {"eyes_valid": False, "eyelids_valid": table["valid"]}
        table = _with_columns(table, "head_orient", FACE_SCHEMA, flags)
    unsaid = dict.fromkeys(["body_group_valid", *(f"{group}_detail" for group in BODY_GROUP_NAMES)])
    table = _with_columns(table, "part_valid", KEYPOINTS_SCHEMA, unsaid)
    if "part_valid" not in table.column_names and "evidence" in table.column_names:
        renamed = {"evidence": "truth", "evidence_shape": "truth_shape"}
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    return table


def _predictions_with_seen(table: pa.Table) -> pa.Table:
    """Predictions of version 3 to 4; those of rotations alone never say what was seen."""
    if "keypoints_2d" not in table.column_names:
        return table
    for name in SEEN_COLUMNS:
        table = table.append_column(prediction_schema().field(name), pa.nulls(table.num_rows, pa.bool_()))
    return table


UPGRADES: dict[int, Callable[[pa.Table], pa.Table]] = {
    1: _labels_with_joint_seen,
    2: _parts_with_details,
    3: _qualities_and_flags_of_parts,
}
"""Schema version v -> function that turns a table of version v into one of version v + 1."""
