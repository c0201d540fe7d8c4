"""Shards on the workers of a Dask or Ray cluster: one that is started for the run, or one that runs already."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from flows.run.runners import Handle, ShardRunner, Summaries
from flows.run.shard_task import annotate_shard
from tasks.annotate.settings import RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.estimators import Slot

_CONNECT_S = 10.0
"""Time that a machine has to answer."""


class DaskRunner:
    """Gives shards to a Dask scheduler."""

    def __init__(self, client: Any, options: dict[str, Any], slot: Slot | None, pool: Executor | None = None) -> None:
        """Takes a client of the cluster, arguments of its ``submit``, and what ``annotate_shard`` is to hold.

        With a pool no more shards than it has threads are given out at a time. Dask counts the death of a worker as a
        try of every shard that it has, also of those that only wait there; so none is to wait.
        """
        self._client, self._options, self._slot, self._pool = client, options, slot, pool

    def submit_shard(self, job: ShardJob) -> Handle[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        if self._pool is None:
            return self._given(job)
        return self._pool.submit(lambda: self._given(job).result())

    def _given(self, job: ShardJob) -> Handle[Summaries]:
        return self._client.submit(annotate_shard, job, self._slot, pure=False, **self._options)


@contextmanager
def dask_runner(config: RunConfig, slot: Slot | None = None) -> Iterator[ShardRunner]:
    """A runner on the cluster that the settings name; one that was started for it ends with the block.

    Raises:
        ValueError: There is no such class of clusters, it does not take these arguments, or no scheduler answers.
        ImportError: The extra, or the package of the class, is not installed.
    """
    distributed, dask = _extra("distributed", "dask"), _extra("dask", "dask")
    logging.getLogger("distributed").setLevel(logging.ERROR)  # It tells of every connection.
    with ExitStack() as held:
        held.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": config.retries}))
        cluster = config.address
        if cluster is None:
            cluster = held.enter_context(_started(config, distributed))
        try:
            client = held.enter_context(distributed.Client(cluster))
        except OSError as error:
            raise ValueError(f"run.address: no Dask scheduler answers at {config.address} ({error})") from error
        pool = None
        if config.address is None and config.cluster.class_name is None and not config.cluster.adapt:
            # Others grow with what waits for them, and what they have changes.
            pool = ThreadPoolExecutor(sum(client.nthreads().values()), thread_name_prefix="dask")
            held.callback(pool.shutdown, wait=False, cancel_futures=True)
        yield DaskRunner(client, config.task_options, slot, pool)


def _started(config: RunConfig, distributed: Any) -> Any:
    """The cluster that the settings describe."""
    name, kwargs = config.cluster.class_name, dict(config.cluster.kwargs)
    if name is None:
        # Networks are not made for many threads of one process; and a worker that Dask holds to a share of the memory
        # would stand still at the first network that needs more.
        own = {"n_workers": config.workers, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
        kind, kwargs = distributed.LocalCluster, own | kwargs
    else:
        kind = _class(name)
    try:
        cluster = kind(**kwargs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"run.cluster.kwargs: {name or 'LocalCluster'} refuses them ({error})") from error
    if config.cluster.adapt:
        cluster.adapt(**config.cluster.adapt)
    elif name is not None and "n_workers" not in kwargs:
        cluster.scale(config.workers)
    return cluster


def _class(name: str) -> Callable[..., Any]:
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ValueError(
            f"run.cluster.class_name: expected <module>.<class>, such as dask_jobqueue.SLURMCluster, got {name}"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ImportError(
            f"run.cluster.class_name: {name} cannot be imported ({error}); install its package"
        ) from error
    except AttributeError:
        raise ValueError(f"run.cluster.class_name: the module {module} has no {attribute}") from None


class RayRunner:
    """Gives shards to a Ray cluster."""

    def __init__(self, ray: Any, config: RunConfig, slot: Slot | None) -> None:
        """Takes the package, settings, and what ``annotate_shard`` is to hold."""
        # Ray ends a worker that has used a GPU after each task, unless it is told otherwise: networks would be loaded
        # for every shard.
        options = {"max_retries": config.retries, "max_calls": 0} | config.task_options
        self._ray, self._slot = ray, slot
        self._function = ray.remote(**options)(annotate_shard)

    def submit_shard(self, job: ShardJob) -> Handle[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        return _RayHandle(self._ray, self._function.remote(job, self._slot))


class _RayHandle:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def result(self) -> Summaries:
        try:
            # Not ``ray.get``, which goes on waiting when a signal ends what waits: it knows only Ctrl-C.
            return self._reference.future().result()
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None  # Ray's own one has the trace as its text.


@contextmanager
def ray_runner(config: RunConfig, slot: Slot | None = None) -> Iterator[ShardRunner]:
    """A runner on the cluster that the settings name, or on one that is started for it and ends with the block.

    Raises:
        ValueError: No cluster answers, or ``ray.remote`` does not take ``run.task_options``.
        ImportError: The extra is not installed.
    """
    ray = _extra("ray", "ray")
    where = {"num_cpus": config.workers, "include_dashboard": False} if config.address is None else {}
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # A busy machine takes longer than Ray would wait.
    stops = signal.getsignal(signal.SIGTERM)
    try:
        _look_for(config.address)
        ray.init(config.address, log_to_driver=False, logging_level="error", **where)
        with suppress(ValueError):  # In the main thread Ray has put its own way to end in the place of the command's.
            signal.signal(signal.SIGTERM, stops)
    except Exception as error:  # Ray raises the bare class too.
        what = "no Ray cluster could be started here" if config.address is None else f"no Ray at {config.address}"
        why = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"run.address: {what} ({why})") from error
    try:
        try:
            runner = RayRunner(ray, config, slot)
        except (TypeError, ValueError) as error:
            raise ValueError(f"run.task_options: Ray refuses them ({error})") from error
        yield runner
    finally:
        ray.shutdown()


def _look_for(address: str | None) -> None:
    """Raises OSError if nobody listens at an address of a machine, for which Ray would wait for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"run.task_runner {extra} needs the extra: pip install -e '.[{extra}]'") from error
