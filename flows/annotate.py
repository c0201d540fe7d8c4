"""annotate-part-labels: photos in, Parquet labels out, as a Prefect flow.

    manifest -> shards -> keypoints -> body, hands, face side by side -> refine -> publish

One task run is one shard x one step, called ``hands/coco/val/00012``, where threads of the flow's process do the work;
and one shard, ``shard/coco/val/00012``, where processes or a cluster do. The flow only wraps plain functions: the order
is in ``flows.run.orchestrate``, the work in ``tasks``, the truth on disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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
from flows.run.own_run import remember
from flows.run.runners import BACKOFF_SECONDS, Handle, Runner, ShardRunner, Summaries, is_worth_a_retry
from flows.run.shard_task import ShardFailed
from tasks.annotate.settings import Origin, RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS, STEP_FUNCTIONS
from tasks.annotate.steps.step import run_step
from tasks.annotate.summary import ShardSummary
from tasks.estimators import slots_of

FLOW_NAME = "annotate-part-labels"


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
    """Shows each shard that another runner does as a task run of the present flow run.

    The task runs are threads here that wait. Workers need no Prefect, and nobody waits inside one.
    """

    def __init__(self, task_runner: TaskRunner[Any], workers: ShardRunner) -> None:
        self._task_runner = task_runner

        @task(name="shard", task_run_name="shard/{job.shard.name}", cache_policy=NO_CACHE, persist_result=False)
        def shard(job: ShardJob) -> Summaries:
            """Every step of a shard that is not done."""
            summaries = workers.submit_shard(job).result()
            if any(summary.state == "failed" for summary in summaries):
                raise ShardFailed(summaries)  # The page shows its text.
            return summaries

        self._task = shard

    def submit_shard(self, job: ShardJob) -> Handle[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        return _Told(self._task_runner.submit(self._task, parameters={"job": job}))


class _Told:
    """A shard of which a failed step is no error of the run."""

    def __init__(self, future: PrefectFuture[Summaries]) -> None:
        self._future = future

    def result(self) -> Summaries:
        try:
            return self._future.result()
        except ShardFailed as failed:
            return failed.summaries


@contextmanager
def prefect_runner(config: RunConfig, log: logging.Logger | logging.LoggerAdapter) -> Iterator[Runner]:
    """A runner with as many task runs at once as there are workers, which are known only inside the flow."""
    with ThreadPoolTaskRunner(max_workers=config.workers) as task_runner:
        if config.task_runner == "threads":
            yield PrefectRunner(config, task_runner)
            return
        # Ended first: threads that wait for a worker would wait on.
        with shard_runner(config, log, GpuSlot.here()) as workers:
            yield PrefectShardRunner(task_runner, workers)


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
