"""A worker that takes shards by itself: any number of them share the work of a workspace, and nobody deals it out.

Each goes through the shards from some place of its own and does those that are not done and nobody else is at. Then
it waits for the shards of the others, and does those that their workers left by dying. So each worker ends when all is
done and published: the first to see it publishes, and the others wait for that, for it may be killed.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from flows.run.orchestrate import ReportedShard, check_backends, sweep
from flows.run.progress import Progress
from flows.run.result import RunResult, result_of
from flows.run.runners import Summaries
from flows.run.shard_task import annotate_claimed, not_run
from tasks.annotate.datasets import find_datasets
from tasks.annotate.look.status import recorded_failures
from tasks.annotate.plan.shared_plan import shared_plan
from tasks.annotate.run.claims import PUBLICATION, Claims, claims_of, plans_held
from tasks.annotate.run.last_publication import LastPublication
from tasks.annotate.run.publish import publish
from tasks.annotate.run.run_journal import RunJournal
from tasks.annotate.run.running import held_datasets
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS
from tasks.annotate.summary import ShardSummary, seconds_a_shard
from tasks.annotate.workspace import STEPS, ManyShards, ShardRef, Workspace
from tasks.display import Display, Lines
from tasks.wording import counted

_SAVED_S = 600.0
"""Time between two savings of the journal of each of many workers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """What a worker did."""

    shards: int
    """Shards that it did."""
    failed_shards: tuple[str, ...]
    """Names of those that it tried and that lack a part."""
    result: RunResult | None
    """What it published; None: another worker did."""

    @property
    def is_good(self) -> bool:
        """Whether what it published counts as good, which lacks no part; of who did not, whether its own shards do."""
        return not self.failed_shards and (self.result is None or self.result.is_good)

    @property
    def sentence(self) -> str:
        """What came out."""
        if self.result is not None:
            return self.result.sentence
        failed = f"; {counted(len(self.failed_shards), 'shard')} failed" * bool(self.failed_shards)
        return f"{counted(self.shards, 'shard')} done here{failed}; another worker has published."


def work(
    config: AnnotateConfig,
    log: logging.Logger | logging.LoggerAdapter,
    display: Display | None = None,
    *,
    origin: Origin,
) -> Worked:
    """Does shards of the data sets of the settings until all are done, by whomever, and published.

    Args:
        config: All settings; of ``run``, those about workers do not matter.
        log: Receives what is to be told at once.
        display: Shows how far all workers are; None for a line of the log now and then.
        origin: Where the settings came from.

    Raises:
        ValueError: As ``flows.run.orchestrate.run``; also, a network cannot be loaded.
        WriteError: The disk is full or failed; what was finished before is kept.
    """
    started = time.perf_counter()
    workspace = Workspace.of(config.output)
    datasets, claims = find_datasets(config, workspace, origin.folder), claims_of(workspace)
    check_backends(config)
    with held_datasets(workspace, config, datasets) as shared:
        plans = []
        for dataset in datasets:
            with plans_held([dataset.group], workspace):
                is_shared = dataset.group in shared
                if not is_shared:
                    sweep(config)
                plans.append(shared_plan(dataset, workspace, config, origin, is_shared=is_shared))
            log.info("%s: %s; %s", "/".join(dataset.group), plans[-1].summary, counted(len(plans[-1].shards), "shard"))
        shards = ManyShards(tuple(plan.shards for plan in plans))
        earlier = seconds_a_shard(workspace)
        shown = display or Lines(log)
        progress = Progress(shards=len(shards), workers=1, block=1, log=log, display=shown, earlier=earlier)
        journal = RunJournal(workspace, saved_s=_SAVED_S)
        last = LastPublication(workspace, [dataset.group for dataset in datasets])
        try:
            failed = _do_what_is_left(shards, workspace, config, claims, progress, journal, last)
        finally:
            journal.save()
        own = progress.times.get(STEPS[-1])
        worked = Worked(shards=own.shards if own else 0, failed_shards=failed, result=None)
        log.info("all parts are over; the report and the counts follow")
        with claims.held(PUBLICATION, wait=True):
            if last.is_made:
                return worked
            with last.being_made():
                publication = publish(workspace, config, plans, shards, progress.times, origin)
    return replace(worked, result=result_of(publication, progress, plans, time.perf_counter() - started, config))


def _do_what_is_left(
    shards: Collection[ShardRef],
    workspace: Workspace,
    config: AnnotateConfig,
    claims: Claims,
    progress: Progress,
    journal: RunJournal,
    last: LastPublication,
) -> tuple[str, ...]:
    """Returns when every shard is done or has failed, here or in another worker; gives the names of those that failed
    here."""
    done = journal.done(shards, config)
    progress.skip(done)
    before = _failures_recorded(workspace)
    left = deque(shard for shard in shards if shard not in done)
    own_failed: list[str] = []
    left.rotate(random.randrange(len(left) + 1))  # Workers that go on from one another seldom meet.
    for wait in (False, True):
        for _ in range(len(left)):
            shard = left.popleft()
            with claims.held(shard.name, wait=wait) as is_mine:
                if not is_mine:
                    left.append(shard)
                    continue
                job = ShardJob(shard, workspace, config)
                failed = _failed_meanwhile(job, before.get(shard, {}))
                handle = _Here(job) if failed is None else _Elsewhere(failed)
                ReportedShard(job=job, handle=handle, progress=progress, journal=journal).wait()
                if failed is None:
                    last.look()
                    own_failed += [shard.name] * (shard.name in progress.failed_shards)
    return tuple(sorted(own_failed))


@dataclass(frozen=True, slots=True)
class _Here:
    """A shard that is done when it is asked for."""

    job: ShardJob

    def result(self) -> Summaries:
        return annotate_claimed(self.job)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A shard that another worker has tried."""

    summaries: Summaries

    def result(self) -> Summaries:
        return self.summaries


_Failures = Mapping[str, int]
"""Step to the time of change of the record that it failed, nanoseconds."""


def _failures_recorded(workspace: Workspace) -> dict[ShardRef, _Failures]:
    """The shards that failed before, which are to be tried again."""
    failed = {shard for step in STEPS for shard in recorded_failures(workspace, step)}
    return {shard: _failures_of(workspace, shard) for shard in failed}


def _failures_of(workspace: Workspace, shard: ShardRef) -> _Failures:
    paths = {step: workspace.failure_path(step, shard) for step in STEPS}
    return {step: path.stat().st_mtime_ns for step, path in paths.items() if path.is_file()}


def _failed_meanwhile(job: ShardJob, before: _Failures) -> Summaries | None:
    """How the steps of a shard ended that another worker tried since this one began; None if none has failed since.

    It is not tried by every worker in turn: who wants to, starts one again.
    """
    failed = _failures_of(job.workspace, job.shard)
    if failed.items() <= before.items():
        return None
    found: dict[str, ShardSummary] = {}
    for step in STEPS:
        culprit = next((read for read in READS[step] if found[read].state == "failed"), None)
        if step in failed:
            record = json.loads(job.workspace.failure_path(step, job.shard).read_text(encoding="utf-8"))
            message = f"another worker failed: {record['message']}"
            found[step] = ShardSummary(step=step, shard=job.shard, state="failed", message=message)
        elif culprit is not None:
            found[step] = not_run(step, job, culprit)
        else:
            found[step] = ShardSummary(step=step, shard=job.shard, state="skipped")
    return tuple(found.values())
