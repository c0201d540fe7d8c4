"""Who runs the shards: threads of this process, each for a part of a shard, or workers that each do whole shards.

The order of work is the same for all (`flows.run.orchestrate.run_shards`). Without a Prefect server the local runners
are used: an ephemeral server costs 7 to 20 seconds a run and forgets most task runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

from datasets_manifest.files import WriteError
from tasks.annotate.settings import RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import STEP_FUNCTIONS
from tasks.annotate.steps.step import run_step
from tasks.annotate.summary import ShardSummary

BACKOFF_SECONDS = 2.0
"""Wait before the first new try; doubles with each further one."""

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)
Summaries = Sequence[ShardSummary]
"""How each step of a shard ended, in order."""


class UpstreamFailed(RuntimeError):
    """A step was not run because one that it reads from failed."""


class Handle(Protocol[Result]):
    """Work that was started."""

    def result(self) -> Result:
        """Waits; raises what the work raised."""
        ...


class StepRunner(Protocol):
    """Starts the steps of shards one by one."""

    def submit(self, step: str, job: ShardJob, after: Sequence[Handle[ShardSummary]]) -> Handle[ShardSummary]:
        """Starts a step once all of ``after`` have ended well."""
        ...


@runtime_checkable
class ShardRunner(Protocol):
    """Starts shards, each with all its steps in one worker: see ``flows.run.shard_task``."""

    def submit_shard(self, job: ShardJob) -> Handle[Summaries]:
        """Starts a shard."""
        ...


Runner = StepRunner | ShardRunner


class LocalRunner:
    """Runs steps on threads of this process, with the same retries as the Prefect tasks."""

    def __init__(self, config: RunConfig, log: logging.Logger) -> None:
        self._retries, self._log = config.retries, log
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="shard")

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who is stopped does not wait for the shards in work: they are done again from where they were.
        is_stopped = kind is not None and not issubclass(kind, Exception)
        self._pool.shutdown(wait=not is_stopped, cancel_futures=True)

    def submit(self, step: str, job: ShardJob, after: Sequence[Handle[ShardSummary]]) -> Future[ShardSummary]:
        """See ``StepRunner``. Steps start in the order of submission, so those of ``after`` are never behind."""
        return self._pool.submit(self._run, step, job, after)

    def _run(self, step: str, job: ShardJob, after: Sequence[Handle[ShardSummary]]) -> ShardSummary:
        for handle in after:
            try:
                handle.result()
            except Exception as error:
                raise UpstreamFailed(f"{step}/{job.shard.name} was not run: {error}") from error
        return with_retries(
            lambda: run_step(step, job, STEP_FUNCTIONS[step]),
            self._retries,
            lambda error, wait: self._log.warning("%s/%s: %s", step, job.shard.name, next_try(error, wait)),
        )


def is_worth_a_retry(error: BaseException) -> bool:
    """Whether trying again may help: wrong settings, missing packages and programming errors stay what they are."""
    if isinstance(error, WriteError):
        return not error.is_of_disk
    return not isinstance(error, (ValueError, ImportError, TypeError, AttributeError, AssertionError, KeyError))


def next_try(error: BaseException, wait_s: float) -> str:
    """What is told of a try that failed, before the next one."""
    return f"{error}; next try in {wait_s:.0f} s"


def with_retries(
    action: Callable[[], T], retries: int, tell: Callable[[Exception, float], Any], backoff: float = BACKOFF_SECONDS
) -> T:
    """Calls an action, again after an error that may pass, waiting ``backoff`` seconds, then twice that, and so on."""
    for attempt in range(retries + 1):
        try:
            return action()
        except Exception as error:
            if attempt == retries or not is_worth_a_retry(error):
                raise
            wait = backoff * 2**attempt
            tell(error, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")
