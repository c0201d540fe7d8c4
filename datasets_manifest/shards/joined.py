"""A file of several shards, one below the other: it says which, and how many rows each has.

Its footer is that of its shards, which are of the same settings; ``shards`` in its manifest has their numbers and rows.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import pyarrow as pa

from datasets_manifest.files import whole_file
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.object_entry import metadata_of
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.store import footer_metadata, parquet_writer
from datasets_manifest.stores import Place

_NAME = re.compile(r"(\d{5,})-(\d{5,})")
_GROUP_BYTES = 4 << 20
"""Rows that are written together, of which hardly more are in memory, and that are read to have one of them."""


def joined_name(first: int, last: int) -> str:
    """Name of the file of the shards from one number to another, whichever of them there are: ``00000-00255``."""
    return f"{first:05d}-{last:05d}"


def joined_range(path: Place) -> tuple[int, int] | None:
    """First and last number that a file has by its name; None for one of another name."""
    match = _NAME.fullmatch(path.stem)
    return None if match is None else (int(match[1]), int(match[2]))


def joined_shards(footer: Footer) -> list[tuple[int, int]]:
    """Number and rows of each shard in a file, in the order of its rows; empty for the file of one shard."""
    return [(int(index), int(rows)) for index, rows in footer.manifest.get("shards", ())]


def shard_of_row(footer: Footer, row: int) -> int:
    """The number of the shard that a row of such a file is of."""
    shards = joined_shards(footer)
    ends = list(itertools.accumulate(rows for _, rows in shards))
    return shards[bisect_right(ends, row)][0]


def shard_numbers(path: Place) -> set[int]:
    """Numbers of the shards in a file of one or of several; empty where its name is of neither, or it is damaged."""
    if path.stem.isdecimal():
        return {int(path.stem)}
    if joined_range(path) is not None:
        with suppress(ShardError, FileNotFoundError):
            return {index for index, _ in joined_shards(read_footer(path))}
    return set()


def write_joined(path: Place, footer: Footer, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Writes a file of several shards, whole or not at all; of its rows only some are in memory at a time.

    Args:
        path: Of the file.
        footer: Complete, with the counts of all rows.
        schema: Columns of every table.
        tables: The rows of each shard.

    Raises:
        WriteError: As ``write_shard``; what ``tables`` raises leaves nothing behind either.
    """
    with (
        whole_file(path, metadata_of(footer)) as file,
        parquet_writer(file, schema.with_metadata(footer_metadata(footer))) as writer,
    ):
        for group in _groups(tables):
            writer.write_table(group)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.nbytes for one in waiting) > _GROUP_BYTES:
            yield _one(waiting)
            waiting = []
    if waiting:
        yield _one(waiting)


def _one(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()
