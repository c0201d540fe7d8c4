"""annotate-part-labels: photos in, Parquet labels out, as a Prefect flow.

    manifest -> shards -> keypoints -> body, hands, face side by side -> refine -> publish

One task run is one shard x one step, called ``hands/coco/00012``. The flow only wraps plain functions: the order is in
``flows.run.orchestrate``, the work in ``tasks``, the truth on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from prefect import allow_failure, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed, State
from prefect.task_runners import TaskRunner
from prefect.tasks import Task, exponential_backoff

from datasets_manifest.files import WriteError
from flows.run.artifacts import publish_artifacts, verdict_markdown
from flows.run.mistakes import MISTAKES, REFUSED
from flows.run.names import RunName
from flows.run.orchestrate import run
from flows.run.own_run import remember
from flows.run.runners import BACKOFF_SECONDS, Handle, Runner, is_worth_a_retry
from flows.run.task_runners import open_task_runner
from flows.server.provision import GPU_LEASE_S, GPU_LIMIT
from tasks.annotate.settings import Origin, RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS, STEP_FUNCTIONS
from tasks.annotate.steps.step import run_step
from tasks.annotate.summary import ShardSummary
from tasks.settings import uses_gpu

FLOW_NAME = "annotate-part-labels"


def step_task(step: str, retries: int) -> Task[..., Any]:
    """Wraps one step in a task whose runs are named ``<step>/<dataset>/<split>/<shard>``."""
    function = STEP_FUNCTIONS[step]

    def annotate_shard(job: ShardJob) -> ShardSummary | State[Any]:
        lacking = next((read for read in READS[step] if not job.workspace.has_result(read, job.shard)), None)
        if lacking is not None:
            # Prefect itself would leave the task run Pending for ever.
            return Cancelled(name="NotReady", message=f"not run, because {lacking}/{job.shard.name} failed")
        on_gpu = uses_gpu(job.config.run.device)
        slot = concurrency(GPU_LIMIT, occupy=1, lease_duration=GPU_LEASE_S) if on_gpu else nullcontext()
        with slot:
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

    def submit(self, step: str, job: ShardJob, after: Sequence[Handle]) -> PrefectFuture[ShardSummary]:
        """See ``flows.run.runners.Runner``."""
        # Those that failed are waited for like the others; the task looks for itself whether it can run.
        futures: list[Any] = [allow_failure(handle) for handle in after if isinstance(handle, PrefectFuture)]
        return self._task_runner.submit(self._tasks[step], parameters={"job": job}, wait_for=futures)


@contextmanager
def prefect_runner(config: RunConfig) -> Iterator[Runner]:
    """A runner whose task runner has as many workers as the settings say, which are known only inside the flow."""
    with open_task_runner(config.task_runner, config.workers) as task_runner:
        yield PrefectRunner(config, task_runner)


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
        runner = partial(prefect_runner, config.run)
        result = run(config, runner, get_run_logger(), shards, origin=origin, again=again, replace=replace)
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
