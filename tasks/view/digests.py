"""Digests of the labels that were judged, kept in a file: a shard is read for them once as long as it stays so."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets_manifest.files import WriteError, whole_file
from tasks.view.index import LabelIndex
from tasks.view.index_file import State, name_of

log = logging.getLogger(__name__)

_KEY, _VERSION = b"pear_view_digests", 1
_AT_ONCE, _THREADS = 64, 2
_FEW = 16
"""Shards that are rather read again at the next start than all digests written after every verdict."""
_SCHEMA = pa.schema([("shard", pa.int32()), ("row", pa.int32()), ("digest", pa.string())])


class Digests:
    """Those of one folder of labels. A thread at a time."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Takes the folder of the labels, and where files are kept."""
        self._path = folder / f"{name_of(root)}.digests.arrow"
        self._known: dict[State, dict[int, str]] = _read(self._path)
        self._stamp, self._rows, self._digests = "", np.zeros(0, np.int64), pa.array([], pa.string())
        """Rows of the index that was asked for last, sorted, and their digests."""

    def of(self, index: LabelIndex, rows: np.ndarray, progress: Callable[[int, int], None]) -> pa.Array:
        """The digests of some rows; empty where the shard has changed since it was indexed.

        Args:
            index: Of the labels.
            rows: (N,) their numbers.
            progress: Told while shards are read.
        """
        if self._stamp != index.stamp:
            self._stamp, self._rows, self._digests = index.stamp, np.zeros(0, np.int64), pa.array([], pa.string())
        new = np.unique(rows[~np.isin(rows, self._rows, kind="table")])
        if len(new):
            found = pa.concat_arrays([self._digests, pa.array(self._found(index, new, progress), pa.string())])
            order = np.argsort(known := np.concatenate([self._rows, new]))
            self._rows, self._digests = known[order], found.take(pa.array(order, pa.int64()))
        return self._digests.take(pa.array(np.searchsorted(self._rows, rows), pa.int64()))

    def _found(self, index: LabelIndex, rows: np.ndarray, progress: Callable[[int, int], None]) -> list[str]:
        places = index.places(rows)
        missing: dict[State, list[int]] = {}
        for state, row in places:
            if row not in self._known.get(state, ()):
                missing.setdefault(state, []).append(row)
        self._read_more(index, missing, progress)
        if len(missing) > _FEW:
            self._write({state for state, _ in places})
        return [self._known.get(state, {}).get(row, "") for state, row in places]

    def _read_more(
        self, index: LabelIndex, missing: dict[State, list[int]], progress: Callable[[int, int], None]
    ) -> None:
        states = list(missing)
        with ThreadPoolExecutor(_THREADS) as pool:
            for begin in range(0, len(states), _AT_ONCE):
                own = states[begin : begin + _AT_ONCE]
                for state, digests in zip(own, pool.map(lambda s: index.digests(s, missing[s]), own), strict=True):
                    self._known.setdefault(state, {}).update(zip(missing[state], digests, strict=False))
                progress(min(begin + _AT_ONCE, len(states)), len(states))

    def _write(self, states: set[State]) -> None:
        """Writes those of some shards; others have gone since."""
        self._known = {state: own for state, own in self._known.items() if state in states}
        rows = [
            {"shard": shard, "row": row, "digest": digest}
            for shard, own in enumerate(self._known.values())
            for row, digest in own.items()
        ]
        stated = {"version": _VERSION, "states": list(self._known)}
        table = pa.Table.from_pylist(rows, schema=_SCHEMA.with_metadata({_KEY: json.dumps(stated)}))
        try:
            with whole_file(self._path) as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        except WriteError as error:
            log.warning("digests are kept in memory alone: %s", error)


def _read(path: Path) -> dict[State, dict[int, str]]:
    """What the file has; nothing if there is none that this program can use."""
    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        stated = json.loads((table.schema.metadata or {})[_KEY])
        if stated["version"] != _VERSION:
            return {}
        states = [State(*state) for state in stated["states"]]
        known: dict[State, dict[int, str]] = {state: {} for state in states}
        for shard, row, digest in zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True):
            known[states[shard]][row] = digest
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
        log.info("the digests %s cannot be used (%s) and are made anew", path, error)
        return {}
    return known
