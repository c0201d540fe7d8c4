"""How far a prediction is, and in the end what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyarrow as pa

from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.people import is_empty_photo
from tasks.display import Display


@dataclass(slots=True)
class PredictProgress:
    """How far a run is, and in the end what came of it."""

    frames_expected: int = 0
    """Photos and frames, as far as the videos' headers tell."""
    frames: int = 0
    """Photos and frames that are done, and what could not be read."""
    unread: int = 0
    """Those of them that are a file, or the rest of a video, that could not be read."""
    unlisted: int = 0
    """Those of these that are a folder or tar file that could not be looked into."""
    people: int = 0
    """People who were predicted."""
    doubtful: int = 0
    """Those of them whose boxes are doubtful."""
    failed: int = 0
    """Rows without a prediction, but for those of photos and frames without people."""
    empty: int = 0
    """Photos and frames in which nobody was found."""
    files: int = 0
    """Parquet files written."""
    started_s: float = field(default_factory=time.perf_counter)
    """Clock at the start."""

    def add(self, rows: pa.Table) -> None:
        """Counts rows."""
        states = rows["status"].to_pylist()
        empty = int(is_empty_photo(rows).sum())
        self.empty += empty
        self.failed += states.count(Status.FAILED) - empty
        self.doubtful += states.count(Status.PARTIAL)
        self.people += len(states) - states.count(Status.FAILED)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started_s

    def show(self, display: Display) -> None:
        """Shows how far the run is."""
        total = max(self.frames_expected, self.frames)
        rate = self.frames / max(self.seconds, 1e-6)
        left_s = (total - self.frames) / rate if rate else None
        display.show("photos and frames", self.frames, total, f"{self.people} people, {rate:.1f}/s", left_s)
