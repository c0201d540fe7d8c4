"""A finished shard, read: its footer, and those of its columns that are asked for.

A shard is finished if, and only if, its final file is there, can be read, and its footer has this run's config hash.
"""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.fields import field_note
from datasets_manifest.schema.labels import PIXEL_COLUMNS, SCHEMA_VERSION, with_widths
from datasets_manifest.schema.people import is_empty_photo
from datasets_manifest.schema.predictions import TRACK
from datasets_manifest.schema.upgrades import UPGRADES
from datasets_manifest.shards.footer import Footer, ShardError, parse_footer
from datasets_manifest.stores import Place, opened, place_of

log = logging.getLogger(__name__)

_OPTIONAL = (*PIXEL_COLUMNS, TRACK)
"""Columns of this version that a file need not have, though their fields do not say so."""
_UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises of a damaged file; the last of names in it."""
_MANY_ROWS = 4096
"""Rows from which on reading columns on several threads is worth their start."""


class Shard:
    """The file of a shard, opened once: the footer at once, columns when they are asked for.

    Page checksums of what is read are verified, and an older schema version is brought up to this one.
    """

    def __init__(self, path: Place | str) -> None:
        """Opens the file and reads its footer.

        Raises:
            FileNotFoundError: No such file.
            ShardError: The file is not a readable Parquet file, or not a shard of ours.
            OSError: The store does not give it.
        """
        self.path = place_of(path)
        source = opened(self.path) if not isinstance(self.path, Path) else self.path
        with self._told("cannot be read as Parquet"):
            self._file = pq.ParquetFile(source, page_checksum_verification=True)
        self.footer: Footer = self._counted(
            parse_footer(self.path, self._file.metadata.metadata, self._file.metadata.num_rows)
        )
        """How the shard was made."""

    def _counted(self, footer: Footer) -> Footer:
        """The footer; where an earlier program did not count photos without people, they are counted now."""
        if footer.empty_count >= 0:
            return footer
        if not footer.failed_count:
            return replace(footer, empty_count=0)
        return replace(footer, empty_count=int(is_empty_photo(self._rows(["error_code"])).sum()))

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; what was read stays."""
        self._file.close()

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return self.footer.row_count

    def stated(self, key: str) -> str:
        """What ``write_shard`` was given to state beside the footer; raises KeyError."""
        return (self._file.metadata.metadata or {})[key.encode()].decode()

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns as the file has them, whatever its version."""
        return self._file.schema_arrow.remove_metadata()

    def table(
        self, schema: pa.Schema, names: Sequence[str] | None = None, groups: Sequence[int] | None = None
    ) -> pa.Table:
        """Reads rows.

        Args:
            schema: The columns and types that are expected; the file has exactly them, but for optional ones, such as
                what labels say of pixels and of groups: these are null where they are asked for and the file lacks
                them, and left out where it has them and they are not asked for.
            names: Columns to read; None for all.
            groups: Row groups to read; None for all.

        Raises:
            ShardError: Unreadable, of a version that cannot be upgraded (both versions are named), or with other
                columns.
            OSError: The store does not give it.
        """
        wanted = schema.names if names is None else list(names)
        is_current = self.footer.schema_version == SCHEMA_VERSION
        known = _Fitting.last
        if is_current and known is not None and known.fits(schema, wanted, self.schema):
            rows = self._rows(None if names is None else wanted, groups)
            return pa.Table.from_arrays(rows.columns, schema=known.stated)
        if is_current:
            _check_columns(self.path, self.schema, schema)
        table = self._rows(wanted if is_current and names is not None else None, groups)
        if not is_current:
            table = _upgraded(self.path, table, self.footer.schema_version)
            _check_columns(self.path, table.schema, schema)
        for name in wanted:
            if name not in table.column_names and _is_optional(schema.field(name)):
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        # The types are those of the schema already; only its notes on the columns are put in place of the file's, but
        # for the numbers of coefficients, which are the file's own.
        stated = schema if wanted == schema.names else pa.schema([schema.field(name) for name in wanted])
        stated = with_widths(stated, self.schema)
        if is_current and table.column_names == wanted and set(wanted) <= set(self.schema.names):
            _Fitting.last = _Fitting(schema, wanted, self.schema, stated)
        return pa.Table.from_arrays([table[name] for name in wanted], schema=stated)

    def rows(self, schema: pa.Schema, first: int, end: int, names: Sequence[str] | None = None) -> pa.Table:
        """The rows from one to before another, of which no more than their row groups are read; raises as ``table``."""
        meta = self._file.metadata
        starts = [0, *itertools.accumulate(meta.row_group(k).num_rows for k in range(meta.num_row_groups))]
        low, high = bisect_right(starts, first) - 1, bisect_left(starts, end)
        return self.table(schema, names, groups=range(low, high)).slice(first - starts[low], end - first)

    def _rows(self, names: list[str] | None, groups: Sequence[int] | None = None) -> pa.Table:
        """Columns as the file has them; None for all."""
        with self._told("is damaged"):
            if groups is not None:
                return self._file.read_row_groups(list(groups), columns=names, use_threads=False)
            return self._file.read(columns=names, use_threads=self._file.metadata.num_rows >= _MANY_ROWS)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except _UNREADABLE as error:
            # What a store says of an answer that did not come has a number; damage that Arrow finds has none.
            if not isinstance(self.path, Path) and isinstance(error, OSError) and error.errno is not None:
                raise
            raise ShardError(f"Shard {self.path} {what} ({error}); delete it and run again.") from error

    def columns(self, schema: pa.Schema, names: Sequence[str] | None = None) -> Columns:
        """The same rows as arrays, see ``Columns``."""
        return Columns(self.table(schema, names))


@dataclass(frozen=True, slots=True)
class _Fitting:
    """Columns that were asked for, those of a file that has just these, and how its rows are given: of many files alike
    one is looked at."""

    last: ClassVar[_Fitting | None] = None
    """Found last."""
    asked: pa.Schema
    wanted: Sequence[str]
    found: pa.Schema
    stated: pa.Schema

    def fits(self, asked: pa.Schema, wanted: Sequence[str], found: pa.Schema) -> bool:
        """Whether it says so of a file."""
        return asked is self.asked and wanted == self.wanted and found.equals(self.found, check_metadata=True)


def read_footer(path: Place | str) -> Footer:
    """The footer of a shard, without its rows; raises as ``Shard``."""
    with Shard(path) as shard:
        return shard.footer


def read_shard(path: Place | str, schema: pa.Schema, names: Sequence[str] | None = None) -> pa.Table:
    """Rows of a shard; raises as ``Shard`` and ``Shard.table``."""
    with Shard(path) as shard:
        return shard.table(schema, names)


def finished_footer(path: Place | str, config_hash: str) -> Footer | None:
    """The footer of a shard that is there, readable and made with this config; None if it is none.

    An unreadable file is logged and counts as not done: the shard is then computed again and the file replaced.
    """
    try:
        footer = read_footer(path)
    except FileNotFoundError:
        return None
    except ShardError as error:
        log.warning("%s It counts as not done and will be replaced.", error)
        return None
    if footer.schema_version != SCHEMA_VERSION:
        log.info("Shard %s has schema version %s, not %s.", path, footer.schema_version, SCHEMA_VERSION)
        return None
    return footer if footer.config_hash == config_hash else None


def _upgraded(path: Place, table: pa.Table, version: int) -> pa.Table:
    steps = range(version, SCHEMA_VERSION)
    if version > SCHEMA_VERSION or any(step not in UPGRADES for step in steps):
        raise ShardError(
            f"Shard {path} has schema version {version}, this program reads version {SCHEMA_VERSION} and has no way "
            f"from one to the other; use the program that wrote it, or make the shard again."
        )
    for step in steps:
        table = UPGRADES[step](table)
    return table


def _is_optional(field: pa.Field) -> bool:
    return field.name in _OPTIONAL or bool(field_note(field, "optional"))


def _check_columns(path: Place, found: pa.Schema, expected: pa.Schema) -> None:
    if found.equals(expected):
        return
    absent = [field.name for field in expected if field.name not in found.names and not _is_optional(field)]
    extra = [field.name for field in found if field.name not in expected.names and not _is_optional(field)]
    other = [
        f"{name} is {found.field(name).type}, expected {expected.field(name).type}"
        for name in expected.names
        if name in found.names and found.field(name).type != expected.field(name).type
    ]
    if absent or extra or other:
        raise ShardError(
            f"Shard {path} does not have the expected columns: absent {absent}, unknown {extra}, other type {other}."
        )
