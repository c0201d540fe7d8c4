"""The rows of a training that cannot be used: counted over all processes, and over all parts of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)


class TrainingDataError(ValueError):
    """A sample cannot be had; one sentence with its id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenRow:
    """A row that cannot be used, because its photo cannot."""

    sample_id: str
    """Which."""
    sentence: str
    """Why."""


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
