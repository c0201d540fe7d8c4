"""One shard through one step: skip what is done, compute, write atomically, record what went wrong.

Disk is the truth. A step is done for a shard when its file is there with the hash of the present settings and of the
very input it was made from; who ran it, and what an orchestrator believes, does not matter.
"""

from __future__ import annotations

import json
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from datasets_manifest.files import write_text
from datasets_manifest.schema.labels import Status
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import finished_footer
from datasets_manifest.shards.store import write_shard
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
    failed_rows: int = 0
    """Rows with status failed."""
    codes: dict[str, int] = field(default_factory=dict)
    """Error code to number of rows."""
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


def done_footer(path: Path, footer: Footer) -> Footer | None:
    """The footer of a file that belongs to the present settings and to the present plan of its shard, else None."""
    found = finished_footer(path, footer.config_hash)
    if found is None or found.manifest.get("inputs_hash") != footer.manifest["inputs_hash"]:
        return None
    return found


def run_step(
    step: str,
    shard: ShardRef,
    workspace: Workspace,
    make_footer: Callable[[], Footer],
    compute: Callable[[], pa.Table],
) -> ShardSummary:
    """Makes the file of one shard and step unless it is there.

    Args:
        step: Name of the step.
        shard: Which shard.
        workspace: Where files are.
        make_footer: Gives the footer, which says how the file is made and recognises it.
        compute: Gives the table; sample failures are rows of it.

    Returns:
        The summary.

    Raises:
        Exception: Whatever goes wrong; first a record with its sentence and trace is left in ``work/failed``.
    """
    started = time.perf_counter()
    path, failure = workspace.step_path(step, shard), workspace.failure_path(step, shard)
    try:
        footer = make_footer()
        done = done_footer(path, footer)
        if done is not None:
            failure.unlink(missing_ok=True)
            counts = (done.row_count, done.failed_count, {})
            return _summary(step, shard, "skipped", counts, started, time.perf_counter() - started)
        recognised = time.perf_counter()
        table = compute()
        computed = time.perf_counter()
        write_shard(path, table, footer)
    except Exception as error:
        record_failure(workspace, step, shard, error)
        raise
    failure.unlink(missing_ok=True)
    file_seconds = (recognised - started) + (time.perf_counter() - computed)
    return _summary(step, shard, "done", _counts(table), started, file_seconds)


def _counts(table: pa.Table) -> tuple[int, int, dict[str, int]]:
    failed = sum(status == Status.FAILED for status in table["status"].to_pylist())
    codes = Counter(code for code in table["error_code"].to_pylist() if code is not None)
    return table.num_rows, failed, dict(codes)


def _summary(
    step: str, shard: ShardRef, state: str, counts: tuple[int, int, dict[str, int]], started: float, file_seconds: float
) -> ShardSummary:
    rows, failed, codes = counts
    return ShardSummary(
        step=step,
        shard=shard,
        state=state,
        rows=rows,
        failed_rows=failed,
        codes=codes,
        seconds=time.perf_counter() - started,
        file_seconds=file_seconds,
    )


def record_failure(workspace: Workspace, step: str, shard: ShardRef, error: BaseException) -> None:
    """Leaves a record of a shard that has no file at a step, with sentence and trace, for ``failures``."""
    record = {
        "step": step,
        "dataset": shard.dataset,
        "split": shard.split,
        "shard": shard.index,
        "error": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "trace": "".join(traceback.format_exception(error)),
    }
    write_text(workspace.failure_path(step, shard), json.dumps(record, indent=2))
