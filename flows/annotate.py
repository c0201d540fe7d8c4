"""annotate-part-labels: photos in, Parquet labels out, as a Prefect flow.

    manifest -> shards -> keypoints -> body, hands, face side by side -> refine -> publish

One task run is one shard x one step, called ``hands/coco/val/00012``, where threads of the flow's process do few
shards; and one shard, ``shard/coco/val/00012``, where there are more, or processes or a cluster do them. Beyond 300
shards several are one task run. The flow only wraps plain functions: the order is in ``flows.run.orchestrate``, the
work in ``tasks``, the truth on disk.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

from prefect import allow_failure, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed, State
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from datasets_manifest.files import WriteError
from flows.run.artifacts import publish_artifacts, verdict_markdown
from flows.run.gpu_slots import GpuSlot
from flows.run.mistakes import MISTAKES, REFUSED
from flows.run.names import RunName
from flows.run.open_runner import shard_runner
from flows.run.orchestrate import run
from flows.run.own_run import ended_when_stopped, remember
from flows.run.runners import BACKOFF_SECONDS, Handle, Runner, ShardRunner, Summaries, is_worth_a_retry
from tasks.annotate.settings import Origin, RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS, STEP_FUNCTIONS
from tasks.annotate.steps.step import run_step
from tasks.annotate.summary import ShardSummary
from tasks.estimators import slots_of

FLOW_NAME = "annotate-part-labels"

MOST_TASK_RUNS = 300
"""In a flow run: of thousands a server writes most down minutes after their end, and a page of them helps nobody."""

_MOST_TOLD = 20
"""Failures that the state of a task run tells."""


def step_task(step: str, retries: int) -> Task[..., Any]:
    """Wraps one step in a task whose runs are named ``<step>/<dataset>/<split>/<shard>``."""
    function = STEP_FUNCTIONS[step]

    def annotate_shard(job: ShardJob) -> ShardSummary | State[Any]:
        lacking = next((read for read in READS[step] if not job.workspace.has_result(read, job.shard)), None)
        if lacking is not None:
            # Prefect itself would leave the task run Pending for ever.
            return Cancelled(name="NotReady", message=f"not run, because {lacking}/{job.shard.name} failed")
        with slots_of(GpuSlot.here()):
            return run_step(step, job, function)

    wrap = task(
        name=step,
        description=function.__doc__,
        tags=[step],
        task_run_name=step + "/{job.shard.name}",
        retries=retries,
        retry_delay_seconds=exponential_backoff(BACKOFF_SECONDS),
        retry_condition_fn=_may_pass,
        # Finished work is recognised by the file on disk, never by Prefect's memory of it.
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return wrap(annotate_shard)


def _may_pass(_task: Task[..., Any], _run: Any, state: State) -> bool:
    error = state.result(raise_on_failure=False)
    return not isinstance(error, BaseException) or is_worth_a_retry(error)


class PrefectRunner:
    """Runs steps as task runs of the present flow run."""

    def __init__(self, config: RunConfig, task_runner: TaskRunner[Any]) -> None:
        self._task_runner = task_runner
        self._tasks = {step: step_task(step, config.retries) for step in STEP_FUNCTIONS}

    def submit(self, step: str, job: ShardJob, after: Sequence[Handle[ShardSummary]]) -> PrefectFuture[ShardSummary]:
        """See ``flows.run.runners.StepRunner``."""
        # Those that failed are waited for like the others; the task looks for itself whether it can run.
        futures: list[Any] = [allow_failure(handle) for handle in after if isinstance(handle, PrefectFuture)]
        return self._task_runner.submit(self._tasks[step], parameters={"job": job}, wait_for=futures)


class PrefectShardRunner:
    """Shows the shards that another runner does as task runs of the present flow run: each as one, or so many together
    that there are no more than ``MOST_TASK_RUNS``.

    The task runs are threads here that wait. Workers need no Prefect, nobody waits inside one, and shards that are
    shown together are done by whoever is free.
    """

    def __init__(self, task_runner: TaskRunner[Any], workers: ShardRunner, shards: int) -> None:
        """Takes who shows, who works, and the number of shards that will come."""
        self._task_runner, self._workers, self._left = task_runner, workers, shards
        self._size = math.ceil(shards / MOST_TASK_RUNS)
        self._room = 0
        self._shown: SimpleQueue[tuple[str, Handle[Summaries]] | None] = SimpleQueue()
        self._futures: list[PrefectFuture[None]] = []

    def submit_shard(self, job: ShardJob) -> Handle[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        handle = self._workers.submit_shard(job)
        if not self._room:
            self._room = min(self._size, self._left)
            self._shown = SimpleQueue()
            further = f" and {self._room - 1} more" if self._room > 1 else ""
            asked = {"name": job.shard.name + further, "shards": self._shown, "number": self._room}
            self._futures.append(self._task_runner.submit(_shards_task, parameters=asked))
        self._shown.put((job.shard.name, handle))
        self._room, self._left = self._room - 1, self._left - 1
        return handle

    def end(self, *, is_good: bool) -> None:
        """Waits for the task runs of a run that has gone through all shards; ends those of another."""
        self._shown.put(None)
        for future in self._futures if is_good else ():
            future.wait()


class ShardsFailed(RuntimeError):
    """Steps of a shard failed, or of several that are shown together."""


@task(name="shard", task_run_name="shard/{name}", cache_policy=NO_CACHE, persist_result=False)
def _shards_task(name: str, shards: SimpleQueue[tuple[str, Handle[Summaries]] | None], number: int) -> None:
    """Every step of a shard, or of several, that is not done."""
    failed: list[str] = []
    for _ in range(number):
        if (shown := shards.get()) is None:
            break
        try:
            steps = [own for own in shown[1].result() if own.state == "failed"]
            failed += [f"{own.run_name}: {own.message}" for own in steps]
        except Exception as error:
            if number == 1:
                raise
            failed.append(f"{shown[0]}: {str(error) or type(error).__name__}")
    if failed:
        more = f"; and {len(failed) - _MOST_TOLD} more" * (len(failed) > _MOST_TOLD)
        raise ShardsFailed("; ".join(failed[:_MOST_TOLD]) + more)  # The page shows its text.


@contextmanager
def prefect_runner(config: RunConfig, log: logging.Logger | logging.LoggerAdapter, shards: int) -> Iterator[Runner]:
    """A runner of so many shards, whose task runs are at most ``MOST_TASK_RUNS``; it is known only inside the flow."""
    if config.task_runner == "threads" and shards * len(STEP_FUNCTIONS) <= MOST_TASK_RUNS:
        with ThreadPoolTaskRunner(max_workers=config.workers) as task_runner, ended_when_stopped():
            yield PrefectRunner(config, task_runner)
        return
    # Workers are ended first: threads that wait for one would wait on.
    shown = ThreadPoolTaskRunner(max_workers=config.workers)
    with shown as task_runner, shard_runner(config, log, GpuSlot.here()) as workers, ended_when_stopped():
        runner, is_good = PrefectShardRunner(task_runner, workers, shards), False
        try:
            yield runner
            is_good = True
        finally:
            runner.end(is_good=is_good)


@flow(name=FLOW_NAME, persist_result=False, on_running=[remember])
def annotate_part_labels(
    datasets: list[str] | None = None,
    params: str = "params.yaml",
    overrides: dict[str, Any] | None = None,
    shards: list[str] | None = None,
    again: bool = False,
    replace: bool = False,
) -> Any:
    """Annotates data sets part by part and publishes their labels.

    Finished shards are recognised on disk and skipped, so running it again goes on where it stopped.

    Args:
        datasets: Manifest ids or paths, or paths of photos and videos; those of the settings when omitted.
        params: Settings file.
        overrides: Dotted setting to value, for example ``{"keypoints.backend": "annotations"}``.
        shards: Names such as ``coco/val/00012`` to restrict the run to.
        again: Do the shards again even if they are done.
        replace: Set all there is of the data sets aside first, and plan them anew.
    """
    try:
        origin = Origin.of(params, (overrides or {}) | ({"datasets": datasets} if datasets else {}))
        config = origin.config()
        name = RunName(config.datasets)
        log = get_run_logger()
        result = run(
            config, partial(prefect_runner, config.run, log), log, shards, origin=origin, again=again, replace=replace
        )
    except WriteError as error:
        return Failed(message=str(error))
    except MISTAKES as error:  # Raised, it would be a trace in the log besides.
        get_run_logger().debug("trace of the refusal", exc_info=True)
        return Failed(name=REFUSED, message=str(error))
    published = result.publication
    name.set(f"{published.count.people} people")
    state = Completed if result.is_good else Failed
    verdict = verdict_markdown(str(state(message="").name), result.sentence)
    publish_artifacts(verdict, published.failures, published.worst, published.failures_csv)
    return state(message=result.sentence)
