"""Shards on disk: written whole or not at all, with a footer that says how they were made."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BufferedWriter, BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.canonical import canonical_json
from datasets_manifest.files import whole_file
from datasets_manifest.schema.columns import has_status
from datasets_manifest.schema.labels import Status
from datasets_manifest.schema.people import is_empty_photo
from datasets_manifest.shards.footer import FOOTER_KEYS, Footer
from datasets_manifest.shards.object_entry import metadata_of
from datasets_manifest.source_date import utc_now
from datasets_manifest.stores import Place, place_of

_REPEATED = ("dataset", "split")
"""Texts that are alike in all rows of a file, or nearly so."""


def shard_path(root: Place | str, dataset: str, split: str, shard: int | str) -> Place:
    """Return ``<root>/<dataset>/<split>/<shard>.parquet``; a whole number becomes five digits."""
    name = f"{shard:05d}" if isinstance(shard, int) else shard
    return place_of(root) / dataset / split / f"{name}.parquet"


def write_shard(
    path: Place | str,
    table: pa.Table,
    footer: Footer,
    *,
    stated: Mapping[str, str] | None = None,
    group_ends: Sequence[int] | None = None,
) -> Footer:
    """Write a table with its footer so that the final name only ever shows a whole file; return the footer as written.

    A file already there is replaced, as by ``datasets_manifest.files.whole_file``.

    Args:
        path: Its final name.
        table: Its rows.
        footer: Its footer, whose counts are made here.
        stated: What the key-value metadata hold beside the footer.
        group_ends: Rows at which row groups end; None: as Arrow has them.

    Raises:
        WriteError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    path = place_of(path)
    full = _completed(footer, table)
    metadata = footer_metadata(full) | dict(stated or {})
    table = table.replace_schema_metadata(metadata)
    with (
        whole_file(path, metadata_of(full)) as file,
        parquet_writer(file, table.schema) as writer,
    ):
        if group_ends is None:
            writer.write_table(table)
        for first, end in itertools.pairwise((0, *(group_ends or ()))):
            writer.write_table(table.slice(first, end - first), row_group_size=end - first)
    return full


def parquet_writer(file: BufferedWriter | BytesIO, schema: pa.Schema) -> pq.ParquetWriter:
    """Writes tables of a schema into a file, compressed, with a checksum of every page.

    Only words from a small set get a dictionary. One of numbers, or of names of photos and people, of which hardly two
    are alike, would only be larger: of labels by a seventh to a third of the file.
    """
    words = [field.name for field in schema if pa.types.is_dictionary(field.type) or field.name in _REPEATED]
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True, "use_dictionary": words}
    return pq.ParquetWriter(file, schema, **options)


def footer_metadata(footer: Footer) -> dict[str, str]:
    """The key-value metadata of a file with a footer that is complete."""
    return {key: canonical_json(getattr(footer, key)) for key in FOOTER_KEYS}


def _completed(footer: Footer, table: pa.Table) -> Footer:
    names = table.column_names
    return replace(
        footer,
        row_count=table.num_rows,
        failed_count=int(has_status(table, Status.FAILED).sum()) if "status" in names else 0,
        empty_count=int(is_empty_photo(table).sum()) if "error_code" in names else 0,
        created_utc=footer.created_utc or utc_now(),
    )
