"""The rows of a training that cannot be used: counted over all processes, and over all parts of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

log = logging.getLogger(__name__)

Sample = TypeVar("Sample")
MAX_REPLACEMENTS = 16
"""Rows that cannot be used, one after the other, that one position steps over."""


class TrainingDataError(ValueError):
    """A sample cannot be had; one sentence with its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenRow:
    """A row that cannot be used, because its photo cannot."""

    sample_id: str
    """Which."""
    sentence: str
    """Why."""


def first_usable(
    make: Callable[[int], Sample], sample_id: Callable[[int], str], place: int, count: int, *, may_replace: bool
) -> tuple[Sample, tuple[BrokenRow, ...]]:
    """The sample of a place of a data set, or of the next one whose photo can be used.

    Args:
        make: From a place to its sample.
        sample_id: From a place to its name.
        place: Where to begin.
        count: Places of the data set; after the last one comes the first.
        may_replace: Whether one may be stepped over.

    Returns:
        The sample, and the rows before it that were stepped over.

    Raises:
        TrainingDataError: It cannot be used and may not be replaced, or too many in a row.
    """
    broken: list[BrokenRow] = []
    while True:
        try:
            return make(place), tuple(broken)
        except TrainingDataError as error:
            broken.append(BrokenRow(sample_id=sample_id(place), sentence=str(error)))
            if not may_replace:
                raise
            if len(broken) >= min(MAX_REPLACEMENTS, count):
                raise TrainingDataError(f"{len(broken)} photos in a row cannot be used; the last: {error}") from error
            place = (place + 1) % count


class BrokenRows:
    """Grows while photos are read; ends the training when there are more than allowed.

    Each process meets its own. What it met since the last time it hands out by ``news`` and takes that of the others by
    ``take``; then all know the same rows and stop together.

    Args:
        num_rows: Rows of the training.
        max_share: Largest share of them that may be stepped over.
    """

    def __init__(self, num_rows: int, max_share: float) -> None:
        self.num_rows = num_rows
        self.max_rows = math.floor(max_share * num_rows * (1 + 1e-9))  # a share of 0.29 is 29 of 100 rows
        self.sentences: dict[str, str] = {}
        """Sample ids, and why each cannot be used."""
        self._news: dict[str, str] = {}

    def add(self, row: BrokenRow) -> None:
        """Counts a row that was stepped over here; one that is known changes nothing.

        Raises:
            TrainingDataError: That is one more than allowed.
        """
        if row.sample_id in self.sentences:
            return
        log.warning("Replaced by the next row: %s", row.sentence)
        self.sentences[row.sample_id] = self._news[row.sample_id] = row.sentence
        self.check()

    def news(self) -> dict[str, str]:
        """The rows that were added since this was asked last."""
        news, self._news = self._news, {}
        return news

    def take(self, sentences: Mapping[str, str]) -> None:
        """Takes over what another process met."""
        self.sentences.update(sentences)

    def resume(self, sample_ids: Iterable[str]) -> None:
        """Begins with the rows that a run had met when its state was written."""
        self.sentences = {name: f"{name}, met before the run went on" for name in sample_ids}
        self._news = {}

    def check(self) -> None:
        """Raises a TrainingDataError if there are more than allowed."""
        if len(self.sentences) > self.max_rows:
            raise TrainingDataError(
                f"{len(self.sentences)} of {self.num_rows} rows have photos that cannot be used, allowed are "
                f"{self.max_rows}; the last: {list(self.sentences.values())[-1]}"
            )
