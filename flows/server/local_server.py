"""``pear up`` and ``pear down``: a Prefect server with its worker for this project, on this machine, offline.

    <root>/.prefect/       logs, pid files and, unless it is PostgreSQL, database of the server; no label is in it
    <root>/prefect.toml    while the server runs: leads every ``prefect`` command and flow started in <root> to it

Or only a worker, for a server that somebody else runs (``external``).

Prefect itself is imported only where it is needed: ``forget_dead_server`` has to run before that import.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.server import address_file, external, own_server, processes
from flows.server.own_server import (
    PORT_VARIABLE,
    ServerError,
    api_url_of,
    environment,
    is_healthy,
    page_of,
    state_dir_of,
)
from flows.server.processes import Daemon
from flows.server.provision import WORK_POOL, crash_unfinished, deploy, provision, wait_for_worker

DEFAULT_PORT = 4200
SLOTS_VARIABLE = "PEAR_GPU_SLOTS"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatus:
    """What runs now."""

    api_url: str | None
    """Address for ``PREFECT_API_URL``, or None if no server runs and none of somebody else's is worked for."""
    healthy: bool
    """Whether the server answers."""
    server_pid: int | None
    """Process of the server; None also if it is somebody else's."""
    worker_pid: int | None
    """Process of the worker."""

    @property
    def url(self) -> str | None:
        """Address of the page."""
        return None if self.api_url is None else self.api_url.removesuffix("/api")


def up(
    root: Path,
    *,
    port: int | None = None,
    gpu_slots: int | None = None,
    external_url: str | None = None,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = print,
) -> ServerStatus:
    """Starts server and worker unless they run, and brings work pool, limit, automation and deployment up to date.

    Args:
        root: The project folder, with ``prefect.yaml``.
        port: Port of the server; by default ``$PEAR_PREFECT_PORT``, else 4200. 0 takes a free one. A server of this
            project that runs already keeps its port.
        gpu_slots: Tasks that may use the GPU at the same time; by default ``$PEAR_GPU_SLOTS``, else 1. On somebody
            else's server a limit that is there stays as it is, unless it is named here or there.
        external_url: Address of a server that runs already, here or elsewhere: only a worker is started, for it.
        timeout_s: Longest wait for each of server, deployment and worker.
        say: Receives one line a step.

    Raises:
        ServerError: Something did not start. A server that this call had started is ended again; one that ran, stays.
        ValueError: A port, an address or a number of slots makes no sense; the database or somebody else's server
            cannot be used; what runs is not what is asked for.
    """
    root = root.resolve()
    if not (root / "prefect.yaml").is_file():
        raise ValueError(f"{root} has no prefect.yaml: run `pear up` in the project folder")
    named_slots = gpu_slots is not None or SLOTS_VARIABLE in os.environ
    slots = gpu_slots if gpu_slots is not None else _number_from_environment(SLOTS_VARIABLE, 1, 1, 1024)
    if external_url is not None and port is not None:
        raise ValueError("--port is that of a server of this folder; with --external the address names it")
    wanted_port = port if port is not None else _number_from_environment(PORT_VARIABLE, DEFAULT_PORT, 0, 65535)
    if not 0 <= wanted_port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, got {wanted_port}")
    state_dir = state_dir_of(root)
    with _lock(state_dir):
        server = processes.find(state_dir, "server")
        before = external.remembered(state_dir)
        asked = None if external_url is None else external.api_address(external_url)
        _refuse_a_second(server, before, asked)
        was_running = server is not None or before is not None
        try:
            if asked is not None:
                external.check_answers(asked)
                external.remember(state_dir, asked)
                api_url = asked
                say(f"Prefect server: {asked} (somebody else's; only a worker is started)")
            else:
                server = own_server.started(root, server, wanted_port, timeout_s, say)
                api_url = api_url_of(server)
            address_file.write(root, api_url, say)
            provision(api_url, gpu_slots=slots, keep_limit=asked is not None and not named_slots)
            _deploy_and_work(root, api_url, timeout_s, say)
        except BaseException:  # Ctrl-C too: half a server is worse than none
            if not was_running:
                _end_all(root)
            raise
    return status(root)


def _refuse_a_second(server: Daemon | None, before: str | None, asked: str | None) -> None:
    """One folder works for one server: runs of two would show in one of them only."""
    runs_at = page_of(server) if server is not None else before
    if runs_at is None or (asked == before and server is None):
        return
    if asked is None and before is None:
        return  # the own one, again
    wanted = "one of its own" if asked is None else asked
    raise ValueError(f"this folder works for the Prefect server {runs_at}; for {wanted}, first: pear down")


def down(root: Path, *, say: Callable[[str], None] = print) -> bool:
    """Ends server, worker and running flow runs of this project, and no other process.

    Flow runs are asked first, while the server still listens, so that their state is not lost. After 10 s at most
    nothing is left. Finished shards stay on disk; `pear annotate` goes on from there.

    Returns:
        Whether anything was running.
    """
    root = root.resolve()
    with _lock(state_dir_of(root)):
        ended = _end_all(root)
    say(ended or "No Prefect server of this project is running.")
    return bool(ended)


def status(root: Path) -> ServerStatus:
    """Which of server and worker run, read from the pid files and one health check."""
    state_dir = state_dir_of(root.resolve())
    server = processes.find(state_dir, "server")
    worker = processes.find(state_dir, "worker")
    api_url = api_url_of(server) if server is not None else external.remembered(state_dir)
    return ServerStatus(
        api_url=api_url,
        healthy=api_url is not None and is_healthy(api_url),
        server_pid=None if server is None else server.pid,
        worker_pid=None if worker is None else worker.pid,
    )


def forget_dead_server(root: Path) -> bool:
    """Removes a ``prefect.toml`` that points at a server which died (power cut, kill -9), so that flows run without it.

    Call it before Prefect is imported: Prefect reads its settings then.

    Returns:
        Whether a stale file was removed.
    """
    root = root.resolve()
    state_dir = state_dir_of(root)
    if processes.find(state_dir, "server") is not None or external.remembered(state_dir) is not None:
        return False
    return address_file.remove(root)


def _deploy_and_work(root: Path, api_url: str, timeout_s: float, say: Callable[[str], None]) -> None:
    """The worker starts while ``prefect deploy`` runs; both need the work pool."""
    env = environment(root, api_url)
    state_dir = state_dir_of(root)
    deployment = deploy(root, env)
    worker = processes.find(state_dir, "worker")
    if worker is None:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        worker = processes.start("worker", command, state_dir=state_dir, cwd=root, env=env)
    try:
        output, _ = deployment.communicate(timeout=timeout_s)
    except BaseException:  # also Ctrl-C: the child must not outlive this call
        deployment.kill()
        deployment.wait()
        raise
    if deployment.returncode != 0:
        raise ServerError("the flows of prefect.yaml could not be deployed:\n" + "\n".join(output.splitlines()[-15:]))
    say("Deployed: every flow of prefect.yaml")
    if not wait_for_worker(api_url, timeout_s=timeout_s) or not processes.is_alive(worker):
        raise ServerError(f"the worker did not start:\n{processes.log_tail(state_dir, 'worker')}")
    say(f"Worker: pool {WORK_POOL}, pid {worker.pid}")


def _end_all(root: Path) -> str:
    """Worker and flow runs first, then the server; pid files and ``prefect.toml`` go too. What was ended, in words."""
    state_dir = state_dir_of(root)
    server = processes.find(state_dir, "server")
    elsewhere = external.remembered(state_dir)
    keep = set(processes.descendants(server)) if server else set()
    others = [process for process in processes.members(state_dir) if process not in keep]
    runs = {own for process in others if (own := processes.environment_of(process).get(processes.RUN_VARIABLE))}
    processes.end(others, grace_s=4.0)
    if others and server and is_healthy(api_url_of(server)):
        crash_unfinished(api_url_of(server), "ended by `pear down`")
    if runs and elsewhere and is_healthy(elsewhere):
        crash_unfinished(elsewhere, "ended by `pear down`", run_ids=runs)
    left = [*processes.descendants(server)] if server else []
    left += [process for process in processes.members(state_dir) if process not in left]
    processes.end(left, grace_s=3.0)
    for name in ("server", "worker"):
        processes.forget(state_dir, name)
    external.forget(state_dir)
    address_file.remove(root)
    if elsewhere:
        return f"Worker ended; the Prefect server {elsewhere} is not ours and runs on."
    return "Prefect server and worker ended." if others or left else ""


@contextlib.contextmanager
def _lock(state_dir: Path) -> Iterator[None]:
    """Two ``pear up`` at once: the second one waits, and finds everything running."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _number_from_environment(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}, not {text!r}")
    return int(text)
