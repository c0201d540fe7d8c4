"""What a run published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from datasets_manifest.schema.people import PeopleCount
from tasks.annotate.look.failures import FailureCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstFit:
    """A label, drawn."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")  # where a record of it is kept

    sample_id: str
    """Whose."""
    command: str
    """What draws it again, to be looked at more closely."""
    png: bytes
    """Photo with keypoints, body over it, body from the side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What a run published."""

    count: PeopleCount
    """People and photos of the run's data sets."""
    metrics: dict[str, Any]
    """All figures, by data set."""
    report: Path | None
    """The page a person looks at; None without labels."""
    failures_csv: Path
    """Every failed shard of the run, and every person without a label."""
    failures: FailureCounts
    """The same, counted."""
    worst: WorstFit | None
    """The label furthest from its keypoints; None without labels."""
    warning: str
    """What is wrong with the labels of the run's data sets; empty if nothing is."""

    @property
    def sentence(self) -> str:
        """The counts, for a log."""
        return f"{self.count.sentence}. Report: {self.report or 'none'}."
