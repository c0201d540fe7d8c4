"""The runner that the settings name."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from flows.run.runners import LocalRunner, Runner, ShardRunner
from tasks.annotate.settings import RunConfig
from tasks.estimators import Slot


def local_runner(config: RunConfig, log: logging.Logger, _shards: int) -> AbstractContextManager[Runner]:
    """The runner of a run that no server shows, of any number of shards."""
    return LocalRunner(config, log) if config.task_runner == "threads" else shard_runner(config, log)


def shard_runner(
    config: RunConfig, log: logging.Logger | logging.LoggerAdapter, slot: Slot | None = None
) -> AbstractContextManager[ShardRunner]:
    """The runner of whole shards, which everything but threads always is.

    Args:
        config: Which, and how many workers.
        log: Receives what is tried again.
        slot: Gives what is to be held while a network computes on a GPU of this machine; None: nothing.

    Raises:
        ValueError: A cluster cannot be had; the sentence says why.
        ImportError: The extra is not installed; the message says how to install it.
    """
    if config.address is not None or config.cluster.class_name is not None:
        slot = None  # Elsewhere GPUs are what `run.task_options` ask for.
    if config.task_runner == "threads":
        from flows.run.thread_runner import ThreadRunner

        return ThreadRunner(config, slot)
    if config.task_runner == "processes":
        from flows.run.process_runner import ProcessRunner

        return ProcessRunner(config, log, slot)
    from flows.run.clusters import dask_runner, ray_runner

    return {"dask": dask_runner, "ray": ray_runner}[config.task_runner](config, slot)
