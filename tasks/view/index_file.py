"""The scalar columns of many shards in one memory-mapped file, brought up to date shard by shard.

It is an Arrow IPC file of one record batch: ids as text, words as numbers of a list in its metadata (-1: none), flags
as 0, 1 or -1, numbers as float32 with NaN for none, and of each row its shard and its place there. So a filter is a
comparison of arrays that lie on disk. Its metadata names every shard with size and time of change: only those that have
changed are read again. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.files import WriteError, whole_file
from datasets_manifest.shards.footer import ForeignFileError, ShardError
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_entries
from datasets_manifest.stores import below
from tasks.view.kinds import KINDS, Kind, kind_of

log = logging.getLogger(__name__)

RELOAD = "labels changed: reload"
"""The button that has the labels read again."""
_KEY, _VERSION = b"pear_view", 1
_AT_ONCE = 64
"""Shards whose columns are joined at once, after which progress is told."""
_THREADS = 2

Progress = Callable[[int, int], None]
"""Takes how many of how many shards are read."""


class _Part(NamedTuple):
    """Columns of some rows, one below the other."""

    ids: pa.Array
    """Sample ids."""
    arrays: dict[str, np.ndarray]
    """The others."""

    @classmethod
    def joined(cls, parts: Sequence[_Part]) -> _Part:
        names = parts[0].arrays
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}
        return cls(pa.concat_arrays([part.ids for part in parts]), arrays)


class State(NamedTuple):
    """A file as it was read."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IndexFile:
    """What the file holds."""

    root: Path
    """Folder of the shards."""
    kind: Kind
    """What is in them."""
    states: tuple[State, ...]
    """Every Parquet file below the folder."""
    counts: tuple[int, ...]
    """Rows of each that are in the table; none of one that cannot be read."""
    words: dict[str, list[str]]
    """Texts of the numbers in each column of words."""
    faults: tuple[str, ...]
    """Sentences on files that cannot be read."""
    table: pa.Table
    """The columns of ``kind``, `shard` and `row`, in one chunk."""


def shard_states(root: Path) -> Iterator[State]:
    """The Parquet files below a folder as they are now."""
    for entry in shard_entries(root):
        stat = entry.stat()
        # A path object of each would make it five times as slow, and pages that are open ask again and again.
        yield State(below(root, entry.path), stat.st_size, stat.st_mtime_ns)


def stamp_of(states: Sequence[State] | Iterator[State]) -> str:
    """Hash of the states of files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for state in states:
        digest.update(f"{state.path}\0{state.size}\0{state.mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def name_of(root: Path) -> str:
    """What files about a folder are called: a hash of its path, 16 hexadecimal digits."""
    return hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]


def open_index(root: Path, folder: Path, progress: Progress | None = None) -> IndexFile:
    """The index of a folder, read from its file or made anew where that is behind.

    Args:
        root: Folder of labels or predictions.
        folder: Where the files of indices are.
        progress: Told while shards are read.

    Raises:
        ValueError: There is no shard, or what the first ones hold is neither labels nor predictions.
    """
    states = tuple(shard_states(root))
    path = folder / f"{name_of(root)}.arrow"
    known = _read(path, root)
    if known is not None and known.states == states:
        return known
    kind = _kind(root, states)
    made = _made(root, kind, states, known if known is not None and known.kind == kind else None, progress)
    try:
        _write(path, made)
    except WriteError as error:
        log.warning("the index is kept in memory alone: %s", error)
        return made
    return _read(path, root) or made


def _kind(root: Path, states: Sequence[State]) -> Kind:
    for state in states:
        try:
            with Shard(root / state.path) as shard:
                return kind_of(shard)
        except (ShardError, FileNotFoundError):
            continue
    raise ValueError(f"{root} has no file of labels or predictions; annotate first, or name another folder")


def _made(
    root: Path, kind: Kind, states: Sequence[State], known: IndexFile | None, progress: Progress | None
) -> IndexFile:
    """The columns of all shards; those that are known as they are now are taken from the earlier index."""
    words = {name: _Numbers(known.words[name] if known else []) for name in kind.words}
    places = {} if known is None else {state: k for k, state in enumerate(known.states)}
    starts = np.cumsum([0, *known.counts]) if known else np.zeros(1, np.int64)
    counts, faults, parts = list[int](), list[str](), [_empty(kind)]

    def read(state: State) -> pa.Table | str:
        k = places.get(state)
        if known is None or k is None or not known.counts[k]:
            return _shard_table(root / state.path, kind)
        return known.table.slice(int(starts[k]), known.counts[k])

    with ThreadPoolExecutor(_THREADS) as pool:
        for begin in range(0, len(states), _AT_ONCE):
            tables: list[pa.Table] = []
            for found in pool.map(read, states[begin : begin + _AT_ONCE]):
                if isinstance(found, str):
                    faults.append(found)
                else:
                    tables.append(found)
                counts.append(0 if isinstance(found, str) else found.num_rows)
            if tables:
                parts.append(_placed(_joined(tables, kind, words), begin, counts[begin:]))
            if progress is not None:
                progress(min(begin + _AT_ONCE, len(states)), len(states))
    whole = _Part.joined(parts)
    return IndexFile(
        root=root,
        kind=kind,
        states=tuple(states),
        counts=tuple(counts),
        words={name: numbers.texts for name, numbers in words.items()},
        faults=tuple(faults),
        table=pa.table({"sample_id": whole.ids, **{name: pa.array(array) for name, array in whole.arrays.items()}}),
    )


def _joined(tables: Sequence[pa.Table], kind: Kind, words: dict[str, _Numbers]) -> _Part:
    """Tables of shards and of the earlier index, in their order; as few at a time as there are kinds in a row."""
    parts = []
    for is_known, own in itertools.groupby(tables, lambda table: "shard" in table.column_names):
        table = pa.concat_tables(own)
        parts.append(_known_part(table) if is_known else _part(table, kind, words))
    return _Part.joined(parts)


def _placed(part: _Part, first: int, counts: Sequence[int]) -> _Part:
    """With the shard of each row, from the number of the first on, and its place there."""
    shards = np.repeat(np.arange(first, first + len(counts), dtype=np.int32), counts)
    rows = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    return _Part(part.ids, part.arrays | {"shard": shards, "row": rows})


def _shard_table(path: Path, kind: Kind) -> pa.Table | str:
    """The columns of a shard, or the sentence on why it has none."""
    try:
        with Shard(path) as shard:
            return shard.table(kind.base, kind.columns)
    except ForeignFileError:
        return f"Passed over: {path} was not written by this project."
    except ShardError as error:
        return str(error)
    except FileNotFoundError:
        return f'{path} went while it was read; press "{RELOAD}" when it comes to the top of the page.'


class _Numbers:
    """Numbers of texts, in the order in which they came by."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self._places = {text: k for k, text in enumerate(texts)}

    def of(self, column: pa.ChunkedArray) -> np.ndarray:
        encoded = pc.dictionary_encode(column.cast(pa.string()).combine_chunks())
        codes = np.array([self._place(str(text)) for text in encoded.dictionary.to_pylist()] + [-1], np.int16)
        absent = pa.scalar(len(codes) - 1, encoded.indices.type)
        return codes[pc.fill_null(encoded.indices, absent).to_numpy(zero_copy_only=False)]

    def _place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]


def _part(table: pa.Table, kind: Kind, words: dict[str, _Numbers]) -> _Part:
    arrays = {name: words[name].of(table[name]) for name in kind.words}
    for name in kind.flags:
        arrays[name] = pc.fill_null(table[name].cast(pa.int8()), pa.scalar(-1, pa.int8())).to_numpy()
    for name in kind.numbers:
        arrays[name] = table[name].cast(pa.float32(), safe=False).to_numpy()
    return _Part(_one(table["sample_id"]), arrays)


def _known_part(table: pa.Table) -> _Part:
    names = [name for name in table.column_names if name not in ("sample_id", "shard", "row")]
    return _Part(_one(table["sample_id"]), {name: table[name].to_numpy() for name in names})


def _empty(kind: Kind) -> _Part:
    arrays = {name: np.zeros(0, np.int16) for name in kind.words}
    arrays |= {name: np.zeros(0, np.int8) for name in kind.flags}
    arrays |= {name: np.zeros(0, np.float32) for name in kind.numbers}
    return _Part(pa.array([], pa.string()), arrays | {name: np.zeros(0, np.int32) for name in ("shard", "row")})


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _write(path: Path, made: IndexFile) -> None:
    stated = {
        "version": _VERSION,
        "kind": made.kind.name,
        "columns": made.kind.columns,
        "states": made.states,
        "counts": made.counts,
        "words": made.words,
        "faults": made.faults,
    }
    table = made.table.replace_schema_metadata({_KEY: json.dumps(stated).encode()}).combine_chunks()
    with whole_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path, root: Path) -> IndexFile | None:
    """The index of the folder as the file has it; None if there is none that this program can use."""
    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        stated = json.loads((table.schema.metadata or {})[_KEY])
        kind = {kind.name: kind for kind in KINDS}[stated["kind"]]
        if stated["version"] != _VERSION or stated["columns"] != list(kind.columns):
            return None
        return IndexFile(
            root=root,
            kind=kind,
            states=tuple(State(*state) for state in stated["states"]),
            counts=tuple(stated["counts"]),
            words=stated["words"],
            faults=tuple(stated["faults"]),
            table=table,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        log.info("the index %s cannot be used (%s) and is made anew", path, error)
        return None
