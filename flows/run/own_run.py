"""The flow run that this process carries out: its server hears at once of a process that is stopped, and the process
ends when the worker that started it has gone, however that went."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil

from flows.server.processes import RUN_VARIABLE

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_last: list[UUID] = []
"""The last one that began here; a process has one at a time."""


_LOOK_S = 1.0
"""Time between two looks for the worker."""
_ANSWER_S = 3.0
"""Time that the server has to take note."""
_STOPPED_S = 2.0
"""Time that a flow run which is stopped has to end by itself."""


def remember(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow that begins to run."""
    is_first = not _last
    _last[:] = [flow_run.id]
    if is_first and RUN_VARIABLE in os.environ:
        threading.Thread(target=_end_without, args=(_starters(),), name="worker watch", daemon=True).start()


def _starters() -> list[psutil.Process]:
    """What stands between this process and the worker that started it, and the worker."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process().parents():
            found.append(process)
            if RUN_VARIABLE not in process.environ():
                break
    return found


def _end_without(starters: Sequence[psutil.Process]) -> None:
    """Ends this process and what it started once a starter is gone: nobody would end it any more."""
    while all(_runs(process) for process in starters):
        time.sleep(_LOOK_S)
    message = "the worker that started it is gone; run it again to go on"
    told = threading.Thread(target=_tell_quietly, args=(message,), daemon=True)
    told.start()
    told.join(_ANSWER_S)
    _end()


def _end() -> None:
    """Ends this process and what it started."""
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    os._exit(1)


@contextmanager
def ended_when_stopped() -> Iterator[None]:
    """Ends a process that a worker started soon after its flow run is stopped inside, as by cancelling it: Prefect
    would wait for the threads in work, whose shards are done again from where they were."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if RUN_VARIABLE in os.environ:
            ending = threading.Timer(_STOPPED_S, _end)
            ending.daemon = True
            ending.start()
        raise


def _runs(process: psutil.Process) -> bool:
    """Whether a process is there, and no dead one that nobody has waited for."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _tell_quietly(message: str) -> None:
    with suppress(BaseException):  # Prefect's own refusals are none of Exception.
        tell_server(message)


def tell_server(message: str) -> None:
    """Marks the flow run as crashed if it has not ended; waits for the server, and raises what its client raises."""
    for run in _last:
        from prefect.client.orchestration import get_client
        from prefect.states import Crashed

        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Crashed(message=message))
