"""What a worker reports of one shard and step, and what the steps of a run cost."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.annotate.workspace import ShardRef


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """What a worker reports of one shard and step; small, so that an orchestrator may keep it."""

    step: str
    """Name of the step."""
    shard: ShardRef
    """Which shard."""
    state: str
    """``done``, ``skipped`` (was there already) or ``failed`` (the shard has no file)."""
    rows: int = 0
    """Rows of the file."""
    failed_rows: int = 0
    """Rows with status failed."""
    seconds: float = 0.0
    """Time of the whole step."""
    file_seconds: float = 0.0
    """Time of it spent on recognising and writing files."""
    message: str = ""
    """One sentence on a failed shard."""

    @property
    def run_name(self) -> str:
        """``hands/coco/00012``."""
        return f"{self.step}/{self.shard.name}"


@dataclass(slots=True)
class StepTimes:
    """What a step cost in a run, over the shards that it was done for."""

    shards: int = 0
    """How many."""
    seconds: float = 0.0
    """Time of the whole steps."""
    file_seconds: float = 0.0
    """Time of it spent on recognising and writing files."""

    def add(self, summary: ShardSummary) -> None:
        """Counts a shard."""
        self.shards += 1
        self.seconds += summary.seconds
        self.file_seconds += summary.file_seconds
