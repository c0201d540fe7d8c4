"""Everything a run could not annotate: shards without a file and people without a label, each with its reason."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from datasets_manifest.schema.labels import LABEL_SCHEMA, Status
from datasets_manifest.shards.shard import read_shard
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

SHARD_FAILED = "shard_failed"
"""Code of a shard that an error ended; rows have the codes of ``datasets_manifest.schema.error_codes``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One shard or one person that has no label."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    shard: str
    """``<dataset>/<number>``."""
    step: str
    """Step that failed, ``refine`` for a row of a finished shard."""
    sample_id: str
    """The person; empty when the whole shard failed."""
    code: str
    """Error code."""
    reason: str
    """One sentence."""
    retry: str
    """Command that does the shard again."""


def retry_command(shard: ShardRef) -> str:
    """The command that does a shard again from its photos."""
    return f"pear retry {shard.name}"


def collect_failures(workspace: Workspace, shards: Iterable[ShardRef]) -> list[Failure]:
    """Reads the failures of some shards from disk, failed shards first."""
    whole: list[Failure] = []
    rows: list[Failure] = []
    for shard in shards:
        common = {"dataset": shard.dataset, "split": shard.split, "shard": shard.name, "retry": retry_command(shard)}
        for step in STEPS:
            record = workspace.failure_path(step, shard)
            if record.is_file():
                message = json.loads(record.read_text(encoding="utf-8"))["message"]
                whole.append(Failure(step=step, sample_id="", code=SHARD_FAILED, reason=message, **common))
        path = workspace.step_path("refine", shard)
        if not path.is_file():
            continue
        table = read_shard(path, LABEL_SCHEMA).select(["sample_id", "status", "error_code", "error_detail"])
        for row in table.to_pylist():
            if row["status"] == Status.FAILED:
                reason = row["error_detail"] or ""
                rows.append(
                    Failure(step="refine", sample_id=row["sample_id"], code=row["error_code"], reason=reason, **common)
                )
    return whole + rows


def failures_csv(failures: Iterable[Failure]) -> str:
    """The failures as CSV text with a header line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [f.name for f in fields(Failure)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(failure) for failure in failures)
    return out.getvalue()
