"""Who was judged how: filters of the table by verdicts, which are read again whenever somebody has judged.

As in trainings, the newest verdict on a part counts, whoever gave it, and one about a label that came out differently
since is stale. A filter by reviewers looks at their verdicts alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.reviews.schema import REVIEW_FORM
from datasets_manifest.reviews.verdicts import standing_rows
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.sittings import read_sittings, sitting_files
from tasks.view.digests import Digests
from tasks.view.index import LabelIndex
from tasks.view.query import REVIEWED, REVIEWER, VERDICT_WORDS, VERDICTS_OF_PARTS, Query

_NONE, _STALE = VERDICT_WORDS.index("none"), VERDICT_WORDS.index("stale")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """The verdicts that stand on the rows of an index, from the oldest to the newest."""

    stamp: str
    """Another one wherever more was said, or of other labels."""
    num_rows: int
    """Of the index."""
    rows: np.ndarray
    """(V,) number of the row."""
    parts: np.ndarray
    """(V,) number of the part."""
    codes: np.ndarray
    """(V,) place in ``VERDICT_WORDS``."""
    reviewers: np.ndarray
    """(V,) who judged."""

    def masks(self, query: Query) -> Iterator[np.ndarray]:
        """(N,) which rows pass each of the filters by verdicts."""
        asked = dict(query.verdicts)
        last = self._last(asked.get(REVIEWER, ()))
        for name, values in asked.items():
            if name == REVIEWER and len(asked) > 1:
                continue  # It says whose verdicts the others are about.
            wanted = self._wanted(name, values)
            of = last[:, VERDICTS_OF_PARTS.index(name)] if name in VERDICTS_OF_PARTS else self._is_reviewed(last)
            yield wanted[of.astype(np.int8)]

    def counts(self, name: str) -> dict[str, int]:
        """How many rows have each value of a filter."""
        if name == REVIEWER:
            names = map(str, np.unique(self.reviewers))
            return {own: int(self._is_reviewed(self._last((own,))).sum()) for own in names}
        last = self._last(())
        if name == REVIEWED:
            num = int(self._is_reviewed(last).sum())
            return {"yes": num, "no": self.num_rows - num}
        counts = np.bincount(last[:, VERDICTS_OF_PARTS.index(name)], minlength=len(VERDICT_WORDS))
        return dict(zip(VERDICT_WORDS, counts.tolist(), strict=True))

    def _last(self, reviewers: tuple[str, ...]) -> np.ndarray:
        """(N, 4) the newest verdict on each part, of some reviewers or of all."""
        last = np.full((self.num_rows, len(PART_NAMES)), _NONE, np.int8)
        own = np.isin(self.reviewers, reviewers) if reviewers else slice(None)
        last[self.rows[own], self.parts[own]] = self.codes[own]  # Of several the last.
        return last

    @staticmethod
    def _is_reviewed(last: np.ndarray) -> np.ndarray:
        return ((last != _NONE) & (last != _STALE)).any(1)

    @staticmethod
    def _wanted(name: str, values: tuple[str, ...]) -> np.ndarray:
        if name == REVIEWER:
            return np.array([False, True])
        return np.isin(("no", "yes") if name == REVIEWED else VERDICT_WORDS, values)


class JudgedRows:
    """Reads the verdicts on the labels of one folder when they have changed; threads share it."""

    def __init__(self, reviews: Path, labels: Path, folder: Path) -> None:
        """Takes the folders of the verdicts and of the labels, and where files are kept."""
        self._reviews, self._digests = reviews, Digests(labels, folder)
        self._lock = threading.Lock()
        self._known: Judged | None = None
        self.progress = (0, 0)
        """Shards whose labels were compared with what was judged, of how many."""

    def of(self, index: LabelIndex) -> Judged:
        """What stands on the rows of an index now.

        Raises:
            ValueError: A file of verdicts cannot be read.
        """
        with self._lock:
            states = _states(self._reviews)
            stamp = f"{index.stamp} {hash(states)}"
            if self._known is None or self._known.stamp != stamp:
                tables = [_sitting(*state) for state in states]
                self._known = self._judged(index, pa.concat_tables(tables or [REVIEW_FORM.schema.empty_table()]), stamp)
            return self._known

    def _judged(self, index: LabelIndex, said: pa.Table, stamp: str) -> Judged:
        said = said.take(pa.array(standing_rows(said), pa.int64()))
        rows = index.numbers(said["sample_id"])
        said, rows = said.filter(pa.array(rows >= 0)), rows[rows >= 0]
        codes = _places(said["verdict"], VERDICT_WORDS)
        is_current = pc.equal(said["label_digest"], self._digests.of(index, rows, self._tell)).to_numpy()
        return Judged(
            stamp=stamp,
            num_rows=len(index),
            rows=rows,
            parts=_places(said["part"], PART_NAMES),
            codes=np.where(is_current, codes, _STALE).astype(np.int8),
            reviewers=np.array(said["reviewer"].to_pylist(), str),
        )

    def _tell(self, done: int, total: int) -> None:
        self.progress = done, total


def _places(column: pa.ChunkedArray, words: tuple[str, ...]) -> np.ndarray:
    return pc.index_in(column, value_set=pa.array(words)).to_numpy()


def _states(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    found = [(path, path.stat()) for path in sitting_files(folder)] if folder.is_dir() else []
    return tuple((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in found)


@lru_cache(maxsize=1024)
def _sitting(path: str, *_state: int) -> pa.Table:
    return read_sittings([Path(path)], REVIEW_FORM)
