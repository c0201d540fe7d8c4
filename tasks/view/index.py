"""The people of a folder of labels or predictions: filtered, sorted, by page, and whole rows out of their shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.reviews.digest import DIGESTED, label_digests
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import Shard
from tasks.view.index_file import RELOAD, IndexFile, State, shard_states, stamp_of
from tasks.view.query import Query


class LabelsChanged(ValueError):
    """A shard is no longer what was indexed."""

    def __init__(self, what: str) -> None:
        """Takes what became of which file."""
        super().__init__(
            f'{what} since it was indexed; press "{RELOAD}", which comes to the top of the page within 15 seconds'
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A whole row, read out of its shard."""

    table: pa.Table
    """That row."""
    path: Path
    """Of the shard."""
    config_hash: str
    """Of its footer."""

    @property
    def row(self) -> dict[str, Any]:
        """The row as plain values."""
        return self.table.to_pylist()[0]


class LabelIndex:
    """The people of a folder, by numbers from 0 in the order of the files. Is not changed: a refresh gives another."""

    def __init__(self, file: IndexFile) -> None:
        self.root, self.kind, self.faults = file.root, file.kind, file.faults
        self._table, self._states, self._words = file.table, file.states, file.words
        self._known_words: dict[str, list[str]] = {}
        self.stamp = stamp_of(file.states)
        """Hash of the shards' states: numbers of rows hold for this stamp alone."""

    def __len__(self) -> int:
        return self._table.num_rows

    @property
    def num_shards(self) -> int:
        """Files that were read."""
        return len(self._states)

    def words(self, column: str) -> list[str]:
        """The values that occur in a column of words, sorted; an empty one first if some row has none."""
        if column not in self._known_words:
            self._known_words[column] = sorted(self.counts(column))
        return self._known_words[column]

    def counts(self, column: str, rows: np.ndarray | None = None) -> dict[str, int]:
        """How many of some rows, or of all, have each value of a column of words, the most frequent first."""
        codes = self._array(column) if rows is None else self._array(column)[rows]
        counts = np.bincount(codes.astype(np.int64) + 1, minlength=len(self._words[column]) + 1)
        named = dict(zip(["", *self._words[column]], counts.tolist(), strict=True))
        return dict(sorted(((word, n) for word, n in named.items() if n), key=lambda item: -item[1]))

    def query(self, query: Query, others: Iterable[np.ndarray] = ()) -> np.ndarray:
        """Numbers of the rows that pass, in order; ``others`` are (N,) more filters."""
        masks = [*self._masks(query), *others]
        rows = np.flatnonzero(np.logical_and.reduce(masks)) if masks else np.arange(len(self))
        rows = rows.astype(np.int32)
        return rows[self._ranking(query, rows)] if query.sort else rows

    def _masks(self, query: Query) -> Iterator[np.ndarray]:
        for column, values in query.words:
            wanted = np.zeros(len(self._words[column]) + 1, bool)
            places = {word: k for k, word in enumerate(self._words[column])} | {"": -1}
            wanted[[places[value] for value in values if value in places]] = True
            yield wanted[self._array(column)]
        for column, value in query.flags:
            yield self._array(column) == int(value)
        for column, low, high in query.ranges:
            values = self._array(column)
            yield (values >= np.float32(low)) & (values <= np.float32(high))
        if query.text:
            found = pc.match_substring(self._ids, query.text)
            yield np.asarray(found.to_numpy(zero_copy_only=False), bool)

    def _ranking(self, query: Query, rows: np.ndarray) -> np.ndarray:
        """Places in ``rows``, sorted; equal ones stay in the order of the files, those without a value come last."""
        if query.sort == "sample_id":
            order = "descending" if query.descending else "ascending"
            return pc.array_sort_indices(self._ids.take(pa.array(rows, pa.int64())), order=order).to_numpy()
        values = self._array(query.sort)[rows]
        if query.sort in self.kind.words:
            words = self._words[query.sort]
            rank = np.empty(len(words) + 1, np.int16)
            rank[np.argsort(words) if words else []] = np.arange(len(words))
            rank[-1] = len(words)
            absent, values = values < 0, rank[values]
        else:
            absent = values < 0 if query.sort in self.kind.flags else np.isnan(values)
        if query.descending:
            values = -values
        if absent.any():
            values = np.where(absent, np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max, values)
        return np.argsort(values, kind="stable")

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """The indexed columns of some rows as plain values, None where there is none; `n` is the number."""
        taken = np.asarray(numbers, np.int64)
        columns: dict[str, list[Any]] = {
            "n": taken.tolist(),
            "sample_id": self._ids.take(pa.array(taken, pa.int64())).to_pylist(),
        }
        for name in self.kind.words:
            words = [*self._words[name], None]
            columns[name] = [words[k] for k in self._array(name)[taken].tolist()]
        for name in self.kind.flags:
            columns[name] = [(False, True, None)[k] for k in self._array(name)[taken].tolist()]
        for name in self.kind.numbers:
            columns[name] = [None if value != value else value for value in self._array(name)[taken].tolist()]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def ids(self, numbers: Sequence[int] | np.ndarray) -> list[str]:
        """Sample ids of some rows."""
        return [str(name) for name in self._ids.take(pa.array(np.asarray(numbers), pa.int64())).to_pylist()]

    def number(self, sample_id: str) -> int | None:
        """The number of the row with this id."""
        found = pc.index(self._ids, pa.scalar(sample_id, pa.string())).as_py()
        return None if found < 0 else found

    def numbers(self, sample_ids: pa.ChunkedArray) -> np.ndarray:
        """The number of the row with each of many ids; -1: none."""
        unique = pc.unique(sample_ids)
        found = pc.index_in(self._ids, value_set=unique)
        here = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        numbers = np.full(len(unique), -1, np.int64)
        numbers[found.take(pa.array(here, pa.int64())).to_numpy()] = here
        return numbers[pc.index_in(sample_ids, value_set=unique).to_numpy()]

    def places(self, numbers: np.ndarray) -> list[tuple[State, int]]:
        """The shard of each of some rows, and its place there."""
        columns = (self._array(name)[numbers].tolist() for name in ("shard", "row"))
        return [(self._states[shard], row) for shard, row in zip(*columns, strict=True)]

    def digests(self, state: State, rows: Sequence[int]) -> list[str]:
        """Digests of rows of one shard; none if it has changed."""
        try:
            with Shard(self._unchanged(state)) as shard:
                return label_digests(shard.table(LABEL_SCHEMA, DIGESTED).take(pa.array(rows)))
        except (LabelsChanged, ShardError):
            return []

    def _unchanged(self, state: State) -> Path:
        """The file of a shard.

        Raises:
            LabelsChanged: It is gone or another one.
        """
        path = self.root / state.path
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise LabelsChanged(f"{path} is gone") from None
        if (stat.st_size, stat.st_mtime_ns) != (state.size, state.mtime_ns):
            raise LabelsChanged(f"{path} has changed")
        return path

    def label(self, number: int) -> Label:
        """A whole row, read out of its shard.

        Raises:
            LabelsChanged: The shard is gone or another one.
        """
        ((state, row),) = self.places(np.array([number]))
        path = self._unchanged(state)
        try:
            with Shard(path) as shard:
                table = self.kind.whole_row(shard, row)
                return Label(table=table, path=path, config_hash=shard.footer.config_hash)
        except FileNotFoundError:
            raise LabelsChanged(f"{path} is gone") from None

    def is_current(self) -> bool:
        """Whether the files are still those that were indexed."""
        return stamp_of(shard_states(self.root)) == self.stamp

    @cached_property
    def _ids(self) -> pa.Array:
        return self._column("sample_id")

    def _array(self, name: str) -> np.ndarray:
        return self._column(name).to_numpy(zero_copy_only=False)

    def _column(self, name: str) -> pa.Array:
        column = self._table[name]
        chunks = column.chunks
        return chunks[0] if chunks else pa.array([], column.type)
