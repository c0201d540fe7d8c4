"""Who is in some rows of labels: people by status, and photos in which nobody was found, who are no people.

A person of whom nothing is known in a frame of a video, and who is bridged there, has a label of which no part is
trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.columns import has_status
from datasets_manifest.schema.error_codes import ErrorCode, Status


def is_empty_photo(table: pa.Table) -> np.ndarray:
    """(N,) which rows stand for a photo in which nobody was found; a person that a data set names is never one."""
    return _has_code(table, ErrorCode.NO_PERSON_FOUND)


def is_bridged(table: pa.Table) -> np.ndarray:
    """(N,) which rows are people of whom nothing is known in their frame, led there from the frames around it."""
    return _has_code(table, ErrorCode.BRIDGED)


def found_rows(table: pa.Table) -> np.ndarray:
    """(N,) which rows are people who were found in their photo and have a label."""
    return ~has_status(table, Status.FAILED) & ~is_bridged(table)


def _has_code(table: pa.Table, code: ErrorCode) -> np.ndarray:
    return _texts(table["error_code"]) == code.value


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.string()).to_numpy(zero_copy_only=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleCount:
    """Counts of label rows; sums of counts are counts of all their rows."""

    ok: int = 0
    """People with every part trusted."""
    partial: int = 0
    """People with a label of which a part is not trusted, bridged ones among them."""
    failed: int = 0
    """People without a label."""
    photos: int = 0
    """Photos that the rows are about."""
    empty_photos: int = 0
    """Those of them in which nobody was found; each has a row, with status failed and `no_person_found`."""
    bridged: int = 0
    """Those of the partial whom nobody found in their frame."""

    @classmethod
    def of(cls, table: pa.Table) -> PeopleCount:
        """Counts the rows of a shard; a photo has all its rows in one shard."""
        states, codes = _texts(table["status"]), _texts(table["error_code"])
        empty, partial = codes == ErrorCode.NO_PERSON_FOUND.value, states == Status.PARTIAL.value
        return cls(
            ok=int((states == Status.OK.value).sum()),
            partial=int(partial.sum()),
            failed=int(((states == Status.FAILED.value) & ~empty).sum()),
            photos=pc.count_distinct(table["image"]).as_py(),
            empty_photos=int(empty.sum()),
            bridged=int((partial & (codes == ErrorCode.BRIDGED.value)).sum()),
        )

    def __add__(self, other: PeopleCount) -> PeopleCount:
        return PeopleCount(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def people(self) -> int:
        """All people, with or without a label."""
        return self.ok + self.partial + self.failed

    @property
    def rows(self) -> int:
        """People and photos without people."""
        return self.people + self.empty_photos

    @property
    def failed_share(self) -> float:
        """Share of the people who were found that have no label."""
        return self.failed / max(self.people - self.bridged, 1)

    @property
    def sentence(self) -> str:
        """``3 photos: 1 person (1 partial), 2 photos without people``."""
        counts = {state.value: getattr(self, state.value) for state in Status} | {"bridged": self.bridged}
        counts["partial"] -= self.bridged
        states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        people = f"{self.people} {'person' if self.people == 1 else 'people'}" + (f" ({states})" if states else "")
        empty = f", {_photos(self.empty_photos)} without people" if self.empty_photos else ""
        return f"{_photos(self.photos)}: {people}{empty}"


def _photos(count: int) -> str:
    return f"{count} photo{'s' * (count != 1)}"
