"""One shard through one step: skip what is done, compute, write atomically, record what went wrong.

Disk is the truth. A step is done for a shard when its file is there with the hash of the present settings and of the
very input it was made from; who ran it, and what an orchestrator believes, does not matter.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa

from datasets_manifest.files import WriteError, write_text
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry
from datasets_manifest.shards.store import write_shard
from datasets_manifest.stores import state_of
from tasks.annotate.stale import is_foreign, keep
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.summary import ShardSummary
from tasks.annotate.workspace import ShardRef, Workspace


def run_step(step: str, job: ShardJob, compute: Callable[[ShardJob], pa.Table]) -> ShardSummary:
    """Makes the file of one shard and step unless it is there.

    Args:
        step: Name of the step.
        job: The shard, its settings and its files.
        compute: Gives the table; sample failures are rows of it.

    Returns:
        The summary.

    Raises:
        Exception: Whatever goes wrong; first a record with its sentence and trace is left in ``work/failed``.
    """
    started = time.perf_counter()
    failure = job.workspace.failure_path(step, job.shard)
    try:
        counts = job.done(step)
        state = "done" if counts is None else "skipped"
        file_seconds, written = time.perf_counter() - started, None
        if counts is None:
            path = job.workspace.step_path(step, job.shard)
            if is_foreign(path):
                raise ShardError(
                    f"{path} is a Parquet file that this project did not write; it stays as it is. Move it elsewhere "
                    "and run the same command again."
                )
            table = compute(job)
            computed = time.perf_counter()
            if job.keep_in is not None:
                keep(job.workspace, path, job.keep_in)
            counts = write_shard(path, table, job.finished_footer(step))
            written = state_of(path), Entry.of(counts, table if step == "refine" else None)
            file_seconds += time.perf_counter() - computed
    except Exception as error:
        record_failure(job.workspace, step, job.shard, error)
        raise
    failure.unlink(missing_ok=True)
    return ShardSummary(
        step=step,
        shard=job.shard,
        state=state,
        rows=counts.row_count,
        people=counts.num_people,
        failed_rows=counts.failed_count,
        seconds=time.perf_counter() - started,
        file_seconds=file_seconds,
        written=written,
    )


def record_failure(workspace: Workspace, step: str, shard: ShardRef, error: BaseException) -> None:
    """Leaves a record of a shard that has no file at a step, with sentence and trace, for ``failures``.

    On a disk that takes no record either there is none: what is to be told is the first error.
    """
    record = {
        "step": step,
        "dataset": shard.dataset,
        "split": shard.split,
        "shard": shard.index,
        "error": type(error).__name__,
        "message": str(error) or type(error).__name__,
        "trace": "".join(traceback.format_exception(error)),
    }
    with suppress(WriteError):
        write_text(workspace.failure_path(step, shard), json.dumps(record, indent=2))
