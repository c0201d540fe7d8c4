"""Shards on processes of this machine: each loads the networks once, and ends with the run however that ends."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from typing import Any

from datasets_manifest.files import WriteError
from flows.run.runners import Summaries, next_try, with_retries
from flows.run.shard_task import NotPrepared, annotate_shard
from tasks.annotate.settings import RunConfig
from tasks.annotate.steps.job import ShardJob
from tasks.estimators import Slot

_SPAWN = multiprocessing.get_context("spawn")
"""Not forked: a child of a process whose torch has run threads can wait for ever for threads it does not have."""


class ProcessDied(RuntimeError):
    """The process of a shard ended before the shard did."""


class RunOver(ValueError):
    """The run has ended, so that no process is started for a shard."""


class ProcessRunner:
    """As many processes as workers, which take one shard after the other.

    Each is alone with its thread here: whatever kills it concerns the one shard that it was at, which is tried again in
    a new process.
    """

    def __init__(
        self, config: RunConfig, log: logging.Logger | logging.LoggerAdapter, slot: Slot | None = None
    ) -> None:
        """Takes how many, how often a shard is tried again, and what to hold while a network computes on a GPU."""
        self._retries, self._log, self._slot = config.retries, log, slot
        self._threads = ThreadPoolExecutor(config.workers, thread_name_prefix="process")
        self._workers = [_Worker() for _ in range(config.workers)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> ProcessRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:  # Idle, or the run was stopped and its shards are done again from where they were.
            worker.end()
        self._threads.shutdown()

    def submit_shard(self, job: ShardJob) -> Future[Summaries]:
        """See ``flows.run.runners.ShardRunner``."""
        return self._threads.submit(self._run, job)

    def _run(self, job: ShardJob) -> Summaries:
        def tell(error: Exception, wait_s: float) -> None:
            self._log.warning("%s: %s", job.shard.name, next_try(error, wait_s))

        return with_retries(lambda: self._once(job), self._retries, tell)

    def _once(self, job: ShardJob) -> Summaries:
        worker = self._idle.get()
        try:
            return worker.call(job, self._slot)
        finally:
            self._idle.put(worker)


class _Worker:
    """A process that is started when it is first needed, and again when it has died."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def call(self, *arguments: Any) -> Summaries:
        """What ``annotate_shard`` gives in the process, or raises there.

        Raises:
            ProcessDied: There is no answer.
            RunOver: There will be none.
        """
        process, connection = self._started()
        try:
            connection.send(arguments)
            is_good, answer = connection.recv()
        except (EOFError, OSError):
            process.join()
            error = RunOver("the run is over") if self._is_over else ProcessDied(_death(process.exitcode))
            raise error from None
        if is_good:
            return answer
        raise answer

    def _started(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        with self._lock:
            if self._is_over:
                raise RunOver("the run is over")
            if self._process is not None and self._connection is not None and self._process.is_alive():
                return self._process, self._connection
            # Each sum in one thread, as everywhere; read when the process starts.
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(theirs,), name="shard")
            process.start()
            theirs.close()  # so that its death is the end of the connection
            self._process, self._connection = process, ours
            return process, ours

    def end(self) -> None:
        """Ends the process, if there is one, and lets none begin."""
        with self._lock:
            self._is_over = True
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _death(code: int | None) -> str:
    """Why a process ended, in a sentence."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = "; the system does so when memory runs out: fewer run.workers need less" * (name == "SIGKILL")
        return f"the process of the shard was ended by {name}{memory}"
    return f"the process of the shard ended with code {code}"


def _serve(connection: Connection) -> None:
    """Does shards until the connection or the process at its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which then ends this.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = True, annotate_shard(*arguments)
        except (NotPrepared, WriteError) as error:
            answer = False, error
        except Exception as error:  # Not every one can be sent.
            answer = False, RuntimeError(f"{type(error).__name__}: {error}")
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
