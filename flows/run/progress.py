"""What a person watching a run sees: how far, how fast, how long still."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.annotate.step import ShardSummary


def clock(seconds: float) -> str:
    """``h:mm:ss``, or ``m:ss`` below an hour."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@dataclass(slots=True)
class Progress:
    """Counts finished shard parts and logs a line for each; safe to call from several threads."""

    total: int
    """Shard parts of the run."""
    log: logging.Logger | logging.LoggerAdapter
    """Where the lines go."""
    summaries: list[ShardSummary] = field(default_factory=list)
    """Every summary so far."""
    _started: float = field(default_factory=time.perf_counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, summary: ShardSummary) -> None:
        """Counts one shard part and logs rate and time left (finished parts that were skipped do not count as work)."""
        with self._lock:
            self.summaries.append(summary)
            finished = len(self.summaries)
            worked = sum(s.state != "skipped" for s in self.summaries)
            elapsed = time.perf_counter() - self._started
            people = sum(s.rows for s in self.summaries if s.step == "keypoints" and s.state == "done")
        left = clock(elapsed / worked * (self.total - finished)) if worked else "?"
        rate = f", {people / elapsed:.2f} people/s" if people else ""
        what = f"{summary.rows} rows in {summary.seconds:.1f} s" if summary.state == "done" else summary.state
        note = f": {summary.message}" if summary.message else ""
        level = logging.ERROR if summary.state == "failed" else logging.INFO
        self.log.log(
            level, "[%d/%d] %s %s%s%s, %s left", finished, self.total, summary.run_name, what, note, rate, left
        )
