"""Whole shards on threads of this process, which share networks and photos."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from flows.run.runners import Summaries
from flows.run.shard_task import steps_of_shard
from tasks.annotate.settings import RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.estimators import Slot


class ThreadRunner:
    """As many threads as workers, which take one shard after the other."""

    def __init__(self, config: RunConfig, slot: Slot | None = None) -> None:
        """Takes how many, and what to hold while a network computes on a GPU."""
        self._slot = slot
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="shard")

    def __enter__(self) -> ThreadRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who is stopped does not wait for the shards in work: they are done again from where they were.
        is_stopped = kind is not None and not issubclass(kind, Exception)
        self._pool.shutdown(wait=not is_stopped, cancel_futures=True)

    def submit_shard(self, job: ShardJob) -> Future[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        return self._pool.submit(steps_of_shard, job, self._slot)
