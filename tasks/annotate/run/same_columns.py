"""Label files of a data set have the same columns: a reader of many files takes those of the first, and drops others.

Columns that only some people need (sources of labels, lenses, masks) are in a shard as it is made only if it has such
people; what the others are, nobody knows then. Once all are there, the files without them get them.
"""

from __future__ import annotations

import logging
from array import array

import pyarrow as pa

from datasets_manifest.schema.columns import has_status
from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import SCHEMA_VERSION, Status
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import write_shard
from tasks.annotate.workspace import Group, ShardRef, Workspace

log = logging.getLogger(__name__)

_LABEL_SOURCE, _ESTIMATORS = "label_source", "estimators"


class SameColumns:
    """The columns of label files; of each file its number is kept."""

    def __init__(self) -> None:
        self._found: dict[Group, dict[pa.Schema, array[int]]] = {}

    def add(self, shard: ShardRef, labels: Shard) -> None:
        """Takes the columns of a file; one of an earlier schema version is left as it is."""
        if labels.footer.schema_version == SCHEMA_VERSION:
            found = self._found.setdefault(shard.group, {})
            last = next(reversed(found), None)  # Files in turn have mostly the same, and a hash of all columns is dear.
            schema = last if last is not None and last.equals(labels.schema) else labels.schema
            found.setdefault(schema, array("q")).append(shard.index)

    def give(self, workspace: Workspace) -> int:
        """Writes the files anew that lack columns which others of their data set and split have; what they say of how
        they were made stays.

        Returns:
            How many there were.
        """
        count = 0
        for group, found in self._found.items():
            fields = _all_fields(found)
            lacking = [
                ShardRef(dataset=group[0], split=group[1], index=index)
                for schema, indices in found.items()
                if not set(schema.names) >= fields.keys()
                for index in indices
            ]
            for shard in lacking:
                path = workspace.step_path("refine", shard)
                with Shard(path) as labels:
                    table = labels.table(labels.schema)
                    write_shard(path, _with_fields(table, fields), labels.footer)
            if lacking:
                log.info("%s: %d label files got columns that others of them have", "/".join(group), len(lacking))
            count += len(lacking)
        return count


def _all_fields(schemas: dict[pa.Schema, array[int]]) -> dict[str, pa.Field]:
    """Every column by its name; of two widths the larger."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            known = fields.setdefault(field.name, field)
            if (fixed_length(field) or 0) > (fixed_length(known) or 0):
                fields[field.name] = field
    return fields


def _with_fields(table: pa.Table, fields: dict[str, pa.Field]) -> pa.Table:
    for name, field in fields.items():
        if name in table.column_names:
            continue
        values = pa.nulls(table.num_rows, field.type)
        if name == _LABEL_SOURCE:  # Of whom nothing is known in 3D, the estimators alone know something.
            failed = has_status(table, Status.FAILED)
            values = pa.array([_ESTIMATORS] * table.num_rows, field.type, mask=failed)
        table = table.append_column(field, values)
    return table
