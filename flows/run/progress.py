"""What a person watching a run sees: how far, how fast, how long still."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from tasks.annotate.summary import ShardSummary, StepTimes


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
    finished: int = 0
    """Shard parts that are over, well or not."""
    skipped: int = 0
    """Those that were done before."""
    failed: int = 0
    """Those without a file."""
    people: int = 0
    """Rows of the keypoints that were made."""
    failed_shards: set[str] = field(default_factory=set)
    """Names of the shards that lack a part."""
    times: dict[str, StepTimes] = field(default_factory=dict)
    """By step."""
    _started: float = field(default_factory=time.perf_counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, summary: ShardSummary) -> None:
        """Counts one shard part and logs rate and time left (finished parts that were skipped do not count as work)."""
        with self._lock:
            self._count(summary)
            elapsed, worked = time.perf_counter() - self._started, self.finished - self.skipped
            left = clock(elapsed / worked * (self.total - self.finished)) if worked else "?"
            rate = f", {self.people / elapsed:.2f} people/s" if self.people else ""
            done = f"[{self.finished}/{self.total}]"
        what = f"{summary.rows} rows in {summary.seconds:.1f} s" if summary.state == "done" else summary.state
        note = f": {summary.message}" if summary.message else ""
        level = logging.ERROR if summary.state == "failed" else logging.INFO
        self.log.log(level, "%s %s %s%s%s, %s left", done, summary.run_name, what, note, rate, left)

    def _count(self, summary: ShardSummary) -> None:
        times = self.times.setdefault(summary.step, StepTimes())
        self.finished += 1
        if summary.state == "skipped":
            self.skipped += 1
        elif summary.state == "failed":
            self.failed += 1
            self.failed_shards.add(summary.shard.name)
        else:
            times.add(summary)
            self.people += summary.rows if summary.step == "keypoints" else 0
