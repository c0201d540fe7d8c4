"""A table from rows, for tests that are about rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from datasets_manifest.schema.columns import table_from_columns


def table_from_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """``table_from_columns`` of mappings from column to value, one a row; an absent value is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    return table_from_columns({name: [row.get(name) for row in rows] for name in names}, schema)
