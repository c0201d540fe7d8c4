"""What shard files say in short, kept beside them, so that looking at many files does not open each of them again.

The files stay the truth. An entry counts for the very file that it was made from, which is recognised by size and time
of change; a file without such an entry is opened. So a journal that is missing, cut, foreign or behind costs time only.

A journal is a folder of small Parquet files that are written whole and never changed. Everyone who has new entries
writes a file of their own: nobody waits, and no entry is lost or mixed with another. Who finds many files writes one in
their place.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets_manifest.files import whole_file
from datasets_manifest.schema.columns import has_status
from datasets_manifest.schema.labels import Status
from datasets_manifest.schema.people import PeopleCount, is_empty_photo
from datasets_manifest.shards.footer import Footer, RowCounts
from datasets_manifest.stores import FileState

_MANY_FILES = 8
"""Files of a journal that one is written in the place of."""
_MANY_ROWS = 50_000
"""Rows of labels whose new entries are written without being asked, since they are large as Python objects."""
_GROUP_BYTES = 4 << 20
"""Entries that are read and written together."""
_DIGEST_BYTES = 16
_VERSION_KEY, _VERSION = b"pear_journal", b"2"
_FAILURE = pa.struct([("sample_id", pa.string()), ("code", pa.string()), ("detail", pa.string())])
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("config_hash", pa.string()),
        ("inputs_hash", pa.string()),
        ("schema_version", pa.int32()),
        ("row_count", pa.int64()),
        ("failed_count", pa.int64()),
        ("empty_count", pa.int64()),
        ("num_ok", pa.int64()),
        ("num_partial", pa.int64()),
        ("num_bridged", pa.int64()),
        ("num_photos", pa.int64()),
        ("failures", pa.list_(_FAILURE)),
        ("ids", pa.binary()),
    ],
    metadata={_VERSION_KEY: _VERSION},
)
_EMPTY = pa.Table.from_batches([], schema=_SCHEMA)  # `empty_table` would import pandas
_LARGE = ("failures", "ids")
"""Columns that are read row by row, where they are asked for."""


class FailedRow(TypedDict):
    """A person without a label."""

    sample_id: str
    code: str
    detail: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(RowCounts):
    """What a shard file says in short. Of part files the last six are empty, those of labels tell of their people."""

    config_hash: str
    """Of its footer."""
    inputs_hash: str
    """Of its footer's manifest; empty where that has none."""
    schema_version: int
    """Of its footer."""
    row_count: int
    """Rows."""
    failed_count: int
    """Rows with status failed."""
    empty_count: int
    """Those of them that are photos without people."""
    num_ok: int = 0
    """People with every part trusted."""
    num_partial: int = 0
    """People with a label of which a part is not trusted, bridged ones among them."""
    num_bridged: int = 0
    """Those of them whom nobody found in their frame."""
    num_photos: int = 0
    """Photos that the rows are about."""
    failures: tuple[FailedRow, ...] = ()
    """Each failed person."""
    ids: bytes = b""
    """``sample_digest`` of each row."""

    @classmethod
    def of(cls, footer: Footer, labels: pa.Table | None = None) -> Entry:
        """The entry of a file.

        Args:
            footer: Of the file.
            labels: Its rows if they are labels: ``sample_id``, ``status``, ``error_code``, ``error_detail``, ``image``.
        """
        stated = {
            "config_hash": footer.config_hash,
            "inputs_hash": footer.manifest.get("inputs_hash", ""),
            "schema_version": footer.schema_version,
            "row_count": footer.row_count,
            "failed_count": footer.failed_count,
            "empty_count": footer.empty_count,
        }
        if labels is None:
            return cls(**stated)
        count = PeopleCount.of(labels)
        return cls(
            **stated,
            num_ok=count.ok,
            num_partial=count.partial,
            num_bridged=count.bridged,
            num_photos=count.photos,
            failures=failed_rows(labels),
            ids=b"".join(sample_digest(str(name)) for name in labels["sample_id"].to_pylist()),
        )

    @property
    def count(self) -> PeopleCount:
        """People and photos of labels."""
        return PeopleCount(
            ok=self.num_ok,
            partial=self.num_partial,
            bridged=self.num_bridged,
            failed=self.num_failed,
            photos=self.num_photos,
            empty_photos=self.empty_count,
        )


def failed_rows(labels: pa.Table) -> tuple[FailedRow, ...]:
    """The people without a label among rows of labels; photos without people are none."""
    failed = pa.array(np.flatnonzero(has_status(labels, Status.FAILED) & ~is_empty_photo(labels)), pa.int64())
    columns = [labels[name].take(failed).to_pylist() for name in ("sample_id", "error_code", "error_detail")]
    return tuple(
        FailedRow(sample_id=name, code=code, detail=detail) for name, code, detail in zip(*columns, strict=True)
    )


def sample_digest(sample_id: str) -> bytes:
    """128 bits: of 10^9 samples no two different ones have the same with a probability of 1 - 10^-20."""
    return hashlib.blake2b(sample_id.encode(), digest_size=_DIGEST_BYTES).digest()


LABELS = "refine"
"""The step whose files are labels."""


def file_key(step: str, path: str) -> str:
    """What the file ``<data set>/<split>/<shard>.parquet`` of a step is called in a journal."""
    return "/".join([step, *path.split("/")[-3:]])


def folder_key(step: str, group: tuple[str, str]) -> str:
    """What all files of a data set and split have in front of their names."""
    return "/".join([step, *group, ""])


_Place = tuple[str, int, int]
"""Key of a file, its size and its time of change."""
_PLACE = ("key", "size", "mtime_ns")
"""The columns of it."""
_COUNTS = tuple(name for name in _SCHEMA.names if name.endswith("_count") or name.startswith("num_"))
_SMALL = tuple(name for name in _SCHEMA.names if name not in (*_PLACE, *_LARGE))


class Journal:
    """The entries of the shard files of a workspace."""

    def __init__(self, folder: Path, *, with_people: bool = True) -> None:
        """Reads what is there; files that cannot be read are passed over.

        Args:
            folder: Where it lies.
            with_people: Whether of each entry ``failures`` and ``ids`` are read, which are most of it. Else those that
                were there already have none.
        """
        self._folder = folder
        self._names = [*_PLACE, *_SMALL, *(_LARGE if with_people else ())]
        self._files: list[Path] = []
        self._table = _EMPTY.select(self._names)
        self._columns: dict[str, list[Any]] = {}
        self._rows: dict[_Place, int] = {}
        self._added: dict[_Place, Entry] = {}
        self._num_added = 0
        for path, table in _groups(folder.glob("*.parquet"), self._names):
            self._take(table)
            self._files += [path] if path not in self._files[-1:] else []

    def _take(self, table: pa.Table) -> None:
        """Puts entries behind those that are there; it costs what these cost, however many there are."""
        first = self._table.num_rows
        self._table = pa.concat_tables([self._table, table.select(self._names)])
        self._columns = {}
        places = zip(*(table[name].to_pylist() for name in _PLACE), strict=True)
        self._rows |= {place: first + row for row, place in enumerate(places)}

    def get(self, key: str, state: FileState) -> Entry | None:
        """The entry of a file as it is now, None if there is none.

        Args:
            key: Names the file in the workspace.
            state: Of the file.
        """
        place = (key, state.st_size, state.st_mtime_ns)
        if place in self._added:
            return self._added[place]
        row = self._rows.get(place)
        return None if row is None else self._entry(row)

    def find(self, key: str, state: FileState) -> int | None:
        """What ``sum`` calls the entry of a file as it is now, None if there is none or if it is new."""
        return self._rows.get((key, state.st_size, state.st_mtime_ns))

    def sum(self, found: list[int]) -> Entry:
        """The counts of some entries together; of no settings."""
        # `pa.array` would import pandas, which takes longer than all of this.
        rows = pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(np.array(found, np.int64).tobytes())])
        counts: dict[str, Any] = {name: int(pc.sum(self._table[name].take(rows)).as_py() or 0) for name in _COUNTS}
        return Entry(config_hash="", inputs_hash="", schema_version=0, **counts)

    def _entry(self, row: int) -> Entry:
        if not self._columns:
            self._columns = {name: self._table[name].to_pylist() for name in _SMALL}
        values: dict[str, Any] = {name: column[row] for name, column in self._columns.items()}
        if _LARGE[0] in self._names and values["failed_count"] > values["empty_count"]:
            values["failures"] = tuple(self._table["failures"][row].as_py())
        if _LARGE[1] in self._names and values["num_photos"]:
            values["ids"] = self._table["ids"][row].as_py()
        return Entry(**values)

    def add(self, key: str, state: FileState, entry: Entry) -> None:
        """Enters a file that had this state before it was read, or after it was written."""
        place = (key, state.st_size, state.st_mtime_ns)
        if self.get(key, state) != entry:
            self._added[place] = entry
            self._num_added += len(entry.failures) + len(entry.ids) // _DIGEST_BYTES
            if self._num_added > _MANY_ROWS:
                self._write_added()

    def save(self) -> None:
        """Writes what is new. A folder that cannot be written stays as it is: who looks next pays for it."""
        if self._added:
            self._write_added()
        with suppress(OSError):
            if len(self._files) > _MANY_FILES:
                self._compact()

    def _write_added(self) -> None:
        rows = [dict(zip(_PLACE, place, strict=True)) | asdict(entry) for place, entry in self._added.items()]
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
        self._take(table)
        self._added, self._num_added = {}, 0
        with suppress(OSError):
            self._files.append(self._write([table]))

    def _compact(self) -> None:
        """Writes one file in the place of all that are there now; of a key the entry of the latest change stays.

        Entries pass through memory group by group: all at once they would take several times what they take on disk.
        """
        latest: dict[str, int] = {}
        present: set[Path] = set()
        for path, table in _groups(self._folder.glob("*.parquet"), _PLACE):
            present.add(path)
            for key, changed in _changes(table):
                latest[key] = max(changed, latest.get(key, changed))

        def kept() -> Iterator[pa.Table]:
            for _, table in _groups(present):  # What others write meanwhile stays as it is.
                rows = []
                for row, (key, changed) in enumerate(_changes(table)):
                    if latest.get(key) == changed:
                        del latest[key]  # Of several entries of one change the first will do.
                        rows.append(row)
                yield table.take(pa.array(rows, pa.int64()))

        written = self._write(kept())
        for path in present:
            path.unlink(missing_ok=True)
        self._files = [written]

    def _write(self, tables: Iterable[pa.Table]) -> Path:
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(8)}.parquet"
        waiting = _EMPTY
        with (
            whole_file(path) as file,
            pq.ParquetWriter(file, _SCHEMA, compression="zstd", write_page_checksum=True) as writer,
        ):
            for table in tables:
                waiting = pa.concat_tables([waiting, table])
                if waiting.nbytes > _GROUP_BYTES:
                    writer.write_table(waiting)
                    waiting = _EMPTY
            writer.write_table(waiting)
        return path


def _changes(table: pa.Table) -> Iterator[tuple[str, int]]:
    """Key of the file of each entry, and its time of change."""
    yield from zip(table["key"].to_numpy().tolist(), table["mtime_ns"].to_numpy().tolist(), strict=True)


def _groups(paths: Iterable[Path], names: Sequence[str] = _SCHEMA.names) -> Iterator[tuple[Path, pa.Table]]:
    """Columns of the entries of journal files, some entries at a time; what cannot be read is passed over."""
    schema = pa.schema([_SCHEMA.field(name) for name in names])
    for path in sorted(paths):
        with (
            suppress(OSError, ValueError, pa.ArrowException),
            pq.ParquetFile(path, page_checksum_verification=True) as file,
        ):
            if (file.schema_arrow.metadata or {}).get(_VERSION_KEY) == _VERSION:
                for group in range(file.num_row_groups):
                    yield path, file.read_row_group(group, columns=list(names), use_threads=False).cast(schema)
