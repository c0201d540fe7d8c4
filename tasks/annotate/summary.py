"""What a worker reports of one shard and step, and what the steps of a run cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from datasets_manifest.files import write_text
from datasets_manifest.shards.journal import Entry
from datasets_manifest.stores import FileState
from tasks.annotate.workspace import ShardRef, Workspace


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
    people: int = 0
    """Rows that are people; the others are photos without people."""
    failed_rows: int = 0
    """Rows with status failed."""
    seconds: float = 0.0
    """Time of the whole step."""
    file_seconds: float = 0.0
    """Time of it spent on recognising and writing files."""
    message: str = ""
    """One sentence on a failed shard."""
    written: tuple[FileState, Entry] | None = None
    """State of the file that was written, and what it says, for the journal."""
    tries: tuple[str, ...] = ()
    """A sentence on each try that failed, and was not the last, where the worker has no log that anybody reads."""

    @property
    def run_name(self) -> str:
        """``hands/coco/val/00012``."""
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


def write_times(workspace: Workspace, times: Mapping[str, StepTimes]) -> None:
    """Writes ``work/run.json``: seconds by step, and how many of them went into files, so that what the orchestration
    costs can be read off. A step that was done for no shard keeps what an earlier run said of it."""
    stated = _stated(workspace) | {
        step: {
            "shards": own.shards,
            "seconds": round(own.seconds, 3),
            "file_seconds": round(own.file_seconds, 3),
        }
        for step, own in times.items()
        if own.shards
    }
    write_text(workspace.work / "run.json", json.dumps(stated, indent=2, sort_keys=True) + "\n")


def seconds_a_shard(workspace: Workspace) -> dict[str, float]:
    """What a shard cost at each step in the last run that did it, as ``work/run.json`` says; empty without one."""
    return {step: own["seconds"] / own["shards"] for step, own in _stated(workspace).items() if own["shards"]}


def _stated(workspace: Workspace) -> dict[str, dict[str, float]]:
    try:
        return json.loads((workspace.work / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
