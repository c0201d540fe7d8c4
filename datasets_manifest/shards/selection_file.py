"""Selections on disk: read and checked once, then mapped into the memory of every process that trains on them.

An Arrow IPC file, not compressed, so that a column is used where it lies in the file and the pages are shared. Each
selection is one or more record batches; what else is known of it stands as JSON in the metadata of the schema.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_manifest.canonical import canonical_json, config_hash
from datasets_manifest.files import whole_file
from datasets_manifest.reviews.verdicts import Reviewed
from datasets_manifest.shards.selection import Selection
from datasets_manifest.shards.selection_columns import alike
from datasets_manifest.stores import place_of

METADATA_KEY = b"selections"
"""Entry of the schema's metadata."""


def write_selections(path: Path, selections: Sequence[Selection]) -> str:
    """Writes selections of one schema, whole or not at all.

    Returns:
        Hash of what the file states of them, by which ``read_selections`` knows the file.

    Raises:
        ValueError: The file cannot be written, because the disk is full, for example; one that was there before stays.
    """
    tables = alike([selection.table for selection in selections])
    batches = [table.to_batches() for table in tables]
    stated = [{**_stated(one), "num_batches": len(own)} for one, own in zip(selections, batches, strict=True)]
    schema = tables[0].schema.with_metadata({METADATA_KEY: canonical_json(stated)})
    try:
        with whole_file(path) as file, pa.ipc.new_file(file, schema) as writer:
            for batch in (batch for own in batches for batch in own):
                writer.write_batch(batch)
    except OSError as error:
        size = sum(selection.table.nbytes for selection in selections)
        raise ValueError(
            f"{path} cannot be written, it needs {size / 1e6:.0f} MB ({error}); make room there"
        ) from error
    return config_hash(stated)


def read_selections(path: Path, expected_hash: str) -> tuple[Selection, ...]:
    """Maps the selections of a file; their tables stay on disk until their pages are used.

    Args:
        path: File of ``write_selections``; it must not be written to while it is in use.
        expected_hash: What ``write_selections`` returned.

    Raises:
        ValueError: There is no such file, it is damaged, or it is another one.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        stated = json.loads((reader.schema.metadata or {}).get(METADATA_KEY, b"null"))
        batches = [reader.get_batch(k) for k in range(reader.num_record_batches)]
        pa.Table.from_batches(batches, reader.schema).validate()
    except (OSError, pa.ArrowException, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no selection of labels ({error}); run the same command again") from error
    if config_hash(stated) != expected_hash:
        raise ValueError(f"{path} is not the selection of labels that was asked for; run the same command again")
    schema, rest, selections = reader.schema.remove_metadata(), iter(batches), []
    for values in stated:
        own = [next(rest) for _ in range(values.pop("num_batches"))]
        selections.append(_selection(values, pa.Table.from_batches(own, schema)))
    return tuple(selections)


def _stated(selection: Selection) -> dict[str, Any]:
    """All but the table, and its number of rows."""
    values = {f.name: getattr(selection, f.name) for f in dataclasses.fields(selection) if f.name != "table"}
    values["path"] = str(selection.path)
    values["num_rows"] = selection.num_rows
    values["reviewed"] = None if selection.reviewed is None else dataclasses.asdict(selection.reviewed)
    return values


def _selection(stated: dict[str, Any], table: pa.Table) -> Selection:
    return Selection(
        path=place_of(stated["path"]),
        table=table,
        config=stated["config"],
        snapshot_hash=stated["snapshot_hash"],
        body_model=stated["body_model"],
        manifest=stated["manifest"],
        dropped=stated["dropped"],
        splits=tuple(stated["splits"]),
        reviewed=None if stated["reviewed"] is None else Reviewed(**stated["reviewed"]),
    )
