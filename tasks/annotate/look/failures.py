"""Everything a run could not annotate: shards without a file and people without a label, each with its reason."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from datasets_manifest.schema.labels import ErrorCode
from datasets_manifest.shards.footer import ForeignFileError, ShardError
from datasets_manifest.shards.journal import FailedRow
from tasks.annotate.commands import annotate_command, retry_command
from tasks.annotate.finished import finished_files, open_journal
from tasks.annotate.look.status import recorded_failures
from tasks.annotate.plan.refused import read_refused
from tasks.annotate.plan_files import planned_shards
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import STEPS, Group, ShardRef, Workspace

SHARD_FAILED = "shard_failed"
"""Code of a shard that an error ended; rows have the codes of ``datasets_manifest.schema.error_codes``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One shard or one person that has no label, or what was refused before it was anybody's row."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    shard: str
    """``<dataset>/<split>/<number>``; empty for what got no row."""
    step: str
    """Step that failed, ``refine`` for a row of a finished shard, ``plan`` for what got no row."""
    sample_id: str
    """The person, or what the data set calls the thing that got no row; empty when the whole shard failed."""
    code: str
    """Error code."""
    reason: str
    """One sentence."""
    retry: str
    """Command that does the shard again, or the data set once it is corrected."""

    @property
    def is_repairable(self) -> bool:
        """Whether something can be done about it: a shard that an error ended, or data that can be mended."""
        return self.code == SHARD_FAILED or self.step == "plan" or ErrorCode(self.code).is_repairable


def what_to_do(code: str) -> str:
    """What a code of a failure means and, where it helps, what to do."""
    if code == SHARD_FAILED:
        return "An error ended the shard; its reason says which. Run the same command again to do just these."
    return ErrorCode(code).sentence


def shard_failures(workspace: Workspace, shards: Iterable[ShardRef], origin: Origin) -> Iterator[Failure]:
    """Records of those of some shards that have no file at a step."""
    recorded = {shard for step in STEPS for shard in recorded_failures(workspace, step)}
    for shard in shards if recorded else ():
        if shard not in recorded:
            continue
        for step in STEPS:
            record = workspace.failure_path(step, shard)
            if record.is_file():
                message = json.loads(record.read_text(encoding="utf-8"))["message"]
                yield Failure(step=step, sample_id="", code=SHARD_FAILED, reason=message, **_of_shard(shard, origin))


def row_failures(shard: ShardRef, rows: Iterable[FailedRow], origin: Origin) -> Iterator[Failure]:
    """The people without a label among the rows of a shard."""
    whose = _of_shard(shard, origin)
    for row in rows:
        yield Failure(step="refine", sample_id=row["sample_id"], code=row["code"], reason=row["detail"] or "", **whose)


def refused_failures(workspace: Workspace, groups: Iterable[Group], origin: Origin) -> Iterator[Failure]:
    """What some data sets name and no row could be made of, as their last plan says."""
    for group in groups:
        command = ""
        for missing in read_refused(workspace, group):
            command = command or annotate_command(group, workspace, origin)
            yield Failure(
                dataset=group[0],
                split=group[1],
                shard="",
                step="plan",
                sample_id=missing.path,
                code=missing.code,
                reason=missing.detail,
                retry=command,
            )


def _of_shard(shard: ShardRef, origin: Origin) -> dict[str, str]:
    command = retry_command(shard, origin)
    return {"dataset": shard.dataset, "split": shard.split, "shard": shard.name, "retry": command}


def list_failures(workspace: Workspace, origin: Origin) -> Iterator[Failure]:
    """The failures of all that is planned, read from disk as asked for: failed shards, what got no row, people.

    Args:
        workspace: Where files are.
        origin: Of the settings that say so.
    """
    yield from shard_failures(workspace, planned_shards(workspace), origin)
    yield from refused_failures(workspace, workspace.planned_groups(), origin)
    planned, journal = set(planned_shards(workspace)), open_journal(workspace)
    for shard, labels in finished_files(workspace, "refine", journal):
        if shard in planned:
            if isinstance(labels, ForeignFileError):  # It is why the shard failed.
                continue
            if isinstance(labels, ShardError):
                raise labels
            yield from row_failures(shard, labels.failures, origin)
    journal.save()


@dataclass(slots=True)
class FailureCounts:
    """How many failures there are, and the first of them, those first that can be repaired."""

    num_shown: int = 200
    """Failures that are kept."""
    count: int = 0
    """All."""
    codes: Counter[str] = field(default_factory=Counter)
    """By error code."""
    shards: set[str] = field(default_factory=set)
    """Names of the shards that have one."""
    failed_shards: set[str] = field(default_factory=set)
    """Names of those that an error ended."""
    repairable: list[Failure] = field(default_factory=list)
    """The first of those that can be repaired."""
    refused: list[Failure] = field(default_factory=list)
    """The first others."""

    @property
    def shown(self) -> list[Failure]:
        """The first ones."""
        return [*self.repairable, *self.refused][: self.num_shown]

    def counted(self, failures: Iterable[Failure]) -> Iterator[Failure]:
        """The same failures, counted on the way."""
        for failure in failures:
            self.count += 1
            self.codes[failure.code] += 1
            if failure.shard:
                self.shards.add(failure.shard)
            if failure.code == SHARD_FAILED:
                self.failed_shards.add(failure.shard)
            kept = self.repairable if failure.is_repairable else self.refused
            if len(kept) < self.num_shown:
                kept.append(failure)
            yield failure


def csv_lines(failures: Iterable[Failure], *, header: bool = False) -> Iterator[str]:
    """The failures as lines of CSV."""
    names = [f.name for f in fields(Failure)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    rows = ([getattr(failure, name) for name in names] for failure in failures)
    for row in itertools.chain([names] if header else [], rows):
        out.seek(0)
        out.truncate()
        writer.writerow(row)
        yield out.getvalue()
