"""The order of an annotation run, the same whoever does the shards, with a server and without.

Nothing here imports Prefect, so that a run without a server starts at once.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from datasets_manifest.files import WriteError, sweep_temporary
from flows.run.pacing import submit_in_windows
from flows.run.progress import Progress
from flows.run.result import RunResult, result_of
from flows.run.runners import Handle, Runner, ShardRunner, StepRunner, Summaries
from flows.run.shard_task import NotPrepared, load_estimators, lost_shard, not_run
from tasks.annotate.datasets import Dataset, find_datasets
from tasks.annotate.plan.places import check_places
from tasks.annotate.plan.plan import DatasetPlan, list_dataset, plan_dataset
from tasks.annotate.plan.shared_plan import OpenPlan
from tasks.annotate.provenance import step_config
from tasks.annotate.run.claims import PUBLICATION, claims_of, plans_held
from tasks.annotate.run.publish import publish
from tasks.annotate.run.run_journal import RunJournal
from tasks.annotate.run.running import held_datasets
from tasks.annotate.settings import AnnotateConfig, Origin, RunConfig
from tasks.annotate.stale import set_shards_aside, stale_folder
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS
from tasks.annotate.steps.step import record_failure
from tasks.annotate.summary import ShardSummary, seconds_a_shard
from tasks.annotate.workspace import STEPS, ManyShards, ShardRef, Workspace, named_shards
from tasks.display import Display, Lines, clock
from tasks.wording import counted

StartRunner = Callable[[int], AbstractContextManager[Runner]]
"""Gives the runner of so many shards, as a context manager."""

_Started = tuple[ShardJob, "dict[str, _Reported]"]
"""A shard with its steps so far, by name."""

_BLOCK_PER_WORKER = 2
"""Shards a worker that take their steps together."""


def run(
    config: AnnotateConfig,
    start_runner: StartRunner,
    log: logging.Logger | logging.LoggerAdapter,
    only: Sequence[str] | None = None,
    display: Display | None = None,
    *,
    origin: Origin,
    again: bool = False,
    replace: bool = False,
) -> RunResult:
    """Plans, runs every shard part that is not done, publishes.

    Args:
        config: All settings.
        start_runner: Gives the runner.
        log: Receives what is to be told at once.
        only: Shard names (``coco/val/00012``) to restrict the run to; None for all.
        display: Shows how far the run is; None for a line of the log now and then.
        origin: Where the settings came from: what it takes to do a shard again.
        again: Do the shards again even if they are done; the files that are replaced are kept in ``work/stale``.
        replace: Set all there is of the data sets aside first, and plan them anew.

    Raises:
        ValueError: Settings, manifest or shard names that make no sense, or another run annotates a data set with other
            settings or would lose its files by ``replace``; nothing was started.
        WriteError: The disk is full or failed; what was finished before is kept.
    """
    started = time.perf_counter()
    workspace = Workspace.of(config.output)
    datasets = find_datasets(config, workspace, origin.folder)
    sweep(config)
    check_backends(config)
    with held_datasets(workspace, config, datasets, replace=replace):
        if config.run.task_runner == "threads":
            load_estimators(config)  # So does a file of another network; the threads then share what was loaded.
        with plans_held([dataset.group for dataset in datasets], workspace):
            plans = _plans(datasets, workspace, config, origin, log, replace=replace)
        for plan in plans:
            log.info("%s: %s; %s", "/".join(plan.shards.group), plan.summary, counted(len(plan.shards), "shard"))
        shards = select_shards(plans, only)
        progress = Progress(
            shards=len(shards),
            workers=config.run.workers,
            block=block_size(config.run) if config.run.task_runner == "threads" else config.run.workers,
            log=log,
            display=display or Lines(log),
            earlier=seconds_a_shard(workspace),
        )
        keep_in = stale_folder(workspace) if again else None
        if keep_in is not None:
            log.info("doing %s again; what is replaced is kept in %s", counted(len(shards), "shard"), keep_in)
        _run_what_is_left(shards, start_runner, progress, workspace, config, keep_in)
        log.info("all parts are over; the report and the counts follow")  # They are not in the time left.
        with claims_of(workspace).held(PUBLICATION, wait=True):
            publication = publish(workspace, config, plans, shards, progress.times, origin)
    seconds = time.perf_counter() - started
    log.info("run took %s", clock(seconds))
    return result_of(publication, progress, plans, seconds, config)


def sweep(config: AnnotateConfig) -> None:
    """Deletes what writers that died left below the folders of a run."""
    for folder in (config.output.work, config.output.labels):
        sweep_temporary(folder)
    for folder in (Path(config.output.report), Path(config.output.metrics).parent):
        sweep_temporary(folder, recursive=False)


def check_backends(config: AnnotateConfig) -> None:
    """Ends a run whose backends or body model are not there before any shard."""
    for step in STEPS:
        step_config(step, config)


def _plans(
    datasets: Sequence[Dataset],
    workspace: Workspace,
    config: AnnotateConfig,
    origin: Origin,
    log: logging.Logger | logging.LoggerAdapter,
    *,
    replace: bool,
) -> list[DatasetPlan]:
    """Lists all data sets, and refuses those that cannot be annotated; then plans them."""
    if not replace:
        check_places(datasets, workspace)  # Before anything is changed.
    begun = [OpenPlan.begin(workspace, dataset.group, anew=replace) for dataset in datasets]
    if not replace and any(plan.stored.is_there for plan in begun):
        check_places(datasets, workspace)
    listings = [list_dataset(dataset, workspace, config, anew=replace) for dataset in datasets]
    if replace:
        _set_datasets_aside(datasets, workspace, log)
    plans = [plan_dataset(listing, workspace, config, origin) for listing in listings]
    for opened, plan in zip(begun, plans, strict=True):
        opened.finish(plan)
    return plans


def _set_datasets_aside(
    datasets: Sequence[Dataset], workspace: Workspace, log: logging.Logger | logging.LoggerAdapter
) -> None:
    for dataset in datasets:
        if aside := set_shards_aside(workspace, dataset.group):
            log.warning("%s, begun anew: %s", "/".join(dataset.group), aside)


def select_shards(plans: Sequence[DatasetPlan], only: Sequence[str] | None) -> Collection[ShardRef]:
    """The shards of some plans, or those of them that are named.

    Raises:
        ValueError: A name means no shard, or several.
    """
    if only is None:
        return ManyShards(tuple(plan.shards for plan in plans))
    known = {plan.shards.group: plan.shards for plan in plans}
    wanted = named_shards(only, known)
    unknown = [shard.name for shard in wanted if shard not in known[shard.group]]
    if unknown:
        lasts = ", ".join(f"{list(shards)[-1].name}" for shards in known.values())
        raise ValueError(f"no such shard: {', '.join(unknown)}; the last are {lasts}")
    return dict.fromkeys(shard for group in known for shard in wanted if shard.group == group).keys()


def _run_what_is_left(
    shards: Collection[ShardRef],
    start_runner: StartRunner,
    progress: Progress,
    workspace: Workspace,
    config: AnnotateConfig,
    keep_in: Path | None,
) -> None:
    """Runs the shards that are not done; the journal of the run ends with it, before the labels are published."""
    journal = RunJournal(workspace)
    done = journal.done(shards, config) if keep_in is None else set()
    progress.skip(done)
    if len(done) == len(shards):
        journal.save()
        return  # No worker is started to do nothing.
    left = (shard for shard in shards if shard not in done)
    try:
        with start_runner(len(shards) - len(done)) as runner:
            run_shards(left, runner, progress, workspace, config, keep_in, journal)
    finally:
        journal.save()


def run_shards(
    shards: Iterable[ShardRef],
    runner: Runner,
    progress: Progress,
    workspace: Workspace,
    config: AnnotateConfig,
    keep_in: Path | None = None,
    journal: RunJournal | None = None,
) -> None:
    """Runs all steps of all shards, never more than ``run.window`` tasks unfinished, or as many as there are workers.

    A runner of shards does each in one task. For one of steps, shards go in blocks, and within a block step by step:
    whatever a step waits for was submitted well before it, so that hardly a worker stands waiting. Blocks of two shards
    a worker are enough for that, and small enough that the photos of a block are still decoded when its later steps
    come. Of what is over nothing is kept.
    """
    jobs = (ShardJob(shard, workspace, config, keep_in) for shard in shards)
    if isinstance(runner, ShardRunner):
        window = max(config.run.window, config.run.workers)

        def start(job: ShardJob) -> ReportedShard:
            return ReportedShard(job=job, handle=runner.submit_shard(job), progress=progress, journal=journal)

        submit_in_windows(jobs, start, window=window)
        return
    by_steps: StepRunner = runner

    def submit(item: tuple[str, _Started]) -> _Reported:
        step, (job, started) = item
        reads = tuple(started[needed] for needed in READS[step])
        handle = by_steps.submit(step, job, [read.handle for read in reads])
        started[step] = _Reported(step=step, job=job, handle=handle, reads=reads, progress=progress, journal=journal)
        return started[step]

    submit_in_windows(_in_blocks(jobs, block_size(config.run)), submit, window=config.run.window)


def block_size(config: RunConfig) -> int:
    """Shards that take their steps together."""
    return max(1, min(config.window // len(STEPS), _BLOCK_PER_WORKER * config.workers))


def _in_blocks(jobs: Iterator[ShardJob], size: int) -> Iterator[tuple[str, _Started]]:
    while block := [(job, {}) for job in itertools.islice(jobs, size)]:
        for step in STEPS:
            for started in block:
                yield step, started


@dataclass(kw_only=True, slots=True)
class _Reported:
    """A started step that tells the progress when it is over."""

    step: str
    job: ShardJob
    handle: Handle[ShardSummary]
    reads: tuple[_Reported, ...]
    progress: Progress
    journal: RunJournal | None
    has_failed: bool = False

    def wait(self) -> None:
        """Waits for the end, good or bad. A failure becomes a summary, and is on disk whoever it was that failed."""
        shard, workspace = self.job.shard, self.job.workspace
        try:
            summary = self.handle.result()
        except Exception as error:
            if isinstance(error, WriteError) and error.is_of_disk:
                raise  # This ends the run: no other shard could be written either.
            self.has_failed = True
            summary = ShardSummary(step=self.step, shard=shard, state="failed", message=str(error))
            culprit = next((read for read in self.reads if read.has_failed), None)
            if culprit is not None:
                summary = not_run(self.step, self.job, culprit.step)
            elif not workspace.failure_path(self.step, shard).is_file():
                # The step could not tell by itself: its worker died, or the orchestrator lost it.
                record_failure(workspace, self.step, shard, error)
        self.progress.add(summary)
        if self.journal is not None:
            self.journal.add(summary)


@dataclass(kw_only=True, slots=True)
class ReportedShard:
    """A started shard that tells the progress when it is over."""

    job: ShardJob
    handle: Handle[Summaries]
    progress: Progress
    journal: RunJournal | None

    def wait(self) -> None:
        """Waits for the end, good or bad; a shard whose worker is lost has failed where it was.

        Raises:
            NotPrepared: As for any other shard, the worker cannot load what it needs; this ends the run.
            ImportError: A worker of a cluster does not have this package, or has another version of it.
            WriteError: The disk is full or failed.
        """
        try:
            summaries = self.handle.result()
        except (NotPrepared, ImportError):
            raise
        except Exception as error:
            if isinstance(error, WriteError) and error.is_of_disk:
                raise
            summaries = lost_shard(self.job, error)
        self.progress.add(*summaries)
        if self.journal is not None:
            for summary in summaries:
                self.journal.add(summary)
