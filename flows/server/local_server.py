"""``pear up`` and ``pear down``: a Prefect server with its worker for this project, on this machine, offline.

    <root>/.prefect/       database, logs and pid files of the server; deleting it forgets all run history, no label
    <root>/prefect.toml    while the server runs: leads every ``prefect`` command and flow started in <root> to it

Prefect itself is imported only where it is needed: ``forget_dead_server`` has to run before that import.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_manifest.files import write_text
from flows.server import processes
from flows.server.processes import Daemon
from flows.server.provision import HEARTBEAT_S, WORK_POOL, crash_unfinished, deploy, provision, wait_for_worker

DEFAULT_PORT = 4200
PORT_VARIABLE = "PEAR_PREFECT_PORT"
SLOTS_VARIABLE = "PEAR_GPU_SLOTS"

_HOST = "127.0.0.1"
# SQLite answers 503 while it is locked; the waits double, so eight tries last some minutes instead of one.
_MAX_RETRIES = 8
_TOML_MARK = "# Written by `pear up`, removed by `pear down`."


class ServerError(RuntimeError):
    """The server or its worker could not be started; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatus:
    """What runs now."""

    url: str | None
    """Address of the UI, or None if no server runs."""
    healthy: bool
    """Whether the server answers."""
    server_pid: int | None
    """Process of the server."""
    worker_pid: int | None
    """Process of the worker."""

    @property
    def api_url(self) -> str | None:
        """Address for ``PREFECT_API_URL``."""
        return None if self.url is None else f"{self.url}/api"


def up(
    root: Path,
    *,
    port: int | None = None,
    gpu_slots: int | None = None,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = print,
) -> ServerStatus:
    """Starts server and worker unless they run, and brings work pool, limit, automation and deployment up to date.

    Args:
        root: The project folder, with ``prefect.yaml``.
        port: Port of the server; by default ``$PEAR_PREFECT_PORT``, else 4200. 0 takes a free one. A server of this
            project that runs already keeps its port.
        gpu_slots: Tasks that may use the GPU at the same time; by default ``$PEAR_GPU_SLOTS``, else 1.
        timeout_s: Longest wait for each of server, deployment and worker.
        say: Receives one line a step.

    Raises:
        ServerError: Something did not start. A server that this call had started is ended again; one that ran, stays.
        ValueError: A port or a number of slots makes no sense.
    """
    root = root.resolve()
    if not (root / "prefect.yaml").is_file():
        raise ValueError(f"{root} has no prefect.yaml: run `pear up` in the project folder")
    slots = gpu_slots if gpu_slots is not None else _number_from_environment(SLOTS_VARIABLE, 1, 1, 1024)
    wanted_port = port if port is not None else _number_from_environment(PORT_VARIABLE, DEFAULT_PORT, 0, 65535)
    if not 0 <= wanted_port <= 65535:
        raise ValueError(f"a port is a number from 0 to 65535, got {wanted_port}")
    state_dir = _state_dir(root)
    with _lock(state_dir):
        server = processes.find(state_dir, "server")
        was_running = server is not None
        try:
            if server is None:
                server = _start_server(root, wanted_port, timeout_s)
                say(f"Prefect server: {_url(server)}")
            else:
                _wait_for_health(server, state_dir, timeout_s)
                say(f"Prefect server: {_url(server)} (was running)")
            _write_toml(root, f"{_url(server)}/api", say)
            _provision_and_work(root, server, slots, timeout_s, say)
        except BaseException:  # Ctrl-C too: half a server is worse than none
            if not was_running:
                _end_all(root)
            raise
    return status(root)


def down(root: Path, *, say: Callable[[str], None] = print) -> bool:
    """Ends server, worker and running flow runs of this project, and no other process.

    Flow runs are asked first, while the server still listens, so that their state is not lost. After 10 s at most
    nothing is left. Finished shards stay on disk; `pear annotate` goes on from there.

    Returns:
        Whether anything was running.
    """
    root = root.resolve()
    with _lock(_state_dir(root)):
        ended = _end_all(root)
    say("Prefect server and worker ended." if ended else "No Prefect server of this project is running.")
    return ended


def status(root: Path) -> ServerStatus:
    """Which of server and worker run, read from the pid files and one health check."""
    state_dir = _state_dir(root.resolve())
    server = processes.find(state_dir, "server")
    worker = processes.find(state_dir, "worker")
    return ServerStatus(
        url=None if server is None else _url(server),
        healthy=server is not None and _is_healthy(server),
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
    if _is_ours(root / "prefect.toml") and processes.find(_state_dir(root), "server") is None:
        (root / "prefect.toml").unlink()
        return True
    return False


def environment(root: Path, api_url: str | None = None) -> dict[str, str]:
    """Environment for server, worker and flow runs: the caller's, its Prefect settings replaced by the project's.

    Nothing is sent anywhere but to the server on this machine.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(_state_dir(root.resolve())),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLIENT_MAX_RETRIES": str(_MAX_RETRIES),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    if api_url is not None:
        env["PREFECT_API_URL"] = api_url
    return env


def _start_server(root: Path, port: int, timeout_s: float) -> Daemon:
    port = port or _free_port()
    if not _can_listen(port):
        raise ServerError(
            f"port {port} is taken by another program: end it, or choose another port with {PORT_VARIABLE}=4201"
        )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
    env = environment(root, f"http://{_HOST}:{port}/api")
    state_dir = _state_dir(root)
    server = processes.start("server", command, state_dir=state_dir, cwd=state_dir, env=env, port=port)
    _wait_for_health(server, state_dir, timeout_s)
    return server


def _provision_and_work(root: Path, server: Daemon, slots: int, timeout_s: float, say: Callable[[str], None]) -> None:
    """Pool first (deployment and worker need it); then the worker starts while ``prefect deploy`` runs."""
    api_url = f"{_url(server)}/api"
    env = environment(root, api_url)
    state_dir = _state_dir(root)
    provision(api_url, gpu_slots=slots)
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
    say(f"Worker: pool {WORK_POOL}, pid {worker.pid}; GPU slots: {slots}")


def _end_all(root: Path) -> bool:
    """Worker and flow runs first, then the server; pid files and ``prefect.toml`` go too."""
    state_dir = _state_dir(root)
    server = processes.find(state_dir, "server")
    keep = set(processes.descendants(server)) if server else set()
    others = [process for process in processes.members(state_dir) if process not in keep]
    processes.end(others, grace_s=4.0)
    if others and server and _is_healthy(server):
        crash_unfinished(f"{_url(server)}/api", "ended by `pear down`")
    left = [*processes.descendants(server)] if server else []
    left += [process for process in processes.members(state_dir) if process not in left]
    processes.end(left, grace_s=3.0)
    for name in ("server", "worker"):
        processes.forget(state_dir, name)
    if _is_ours(root / "prefect.toml"):
        (root / "prefect.toml").unlink()
    return bool(others or left)


def _wait_for_health(server: Daemon, state_dir: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not processes.is_alive(server):
            raise ServerError(f"the Prefect server ended at once:\n{processes.log_tail(state_dir, 'server')}")
        if _is_healthy(server):
            return
        time.sleep(0.1)
    raise ServerError(
        f"the Prefect server did not answer within {timeout_s:.0f} s:\n{processes.log_tail(state_dir, 'server')}"
    )


def _is_healthy(server: Daemon) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never ask a proxy for this machine
    try:
        with opener.open(f"{_url(server)}/api/health", timeout=5.0) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _write_toml(root: Path, api_url: str, say: Callable[[str], None]) -> None:
    path = root / "prefect.toml"
    if path.exists() and not _is_ours(path):
        say(f"{path.name} is yours and stays as it is; to reach this server: export PREFECT_API_URL={api_url}")
        return
    text = (
        f"{_TOML_MARK}\n"
        "# Points every `prefect` command and every flow that starts in this folder at the running server.\n"
        f'[api]\nurl = "{api_url}"\n\n'
        "# The server takes a run that is silent for three of these for dead.\n"
        f"[flows]\nheartbeat_frequency = {HEARTBEAT_S}\n\n"
        f"[client]\nmax_retries = {_MAX_RETRIES}\n"
    )
    write_text(path, text)
    elsewhere = os.environ.get("PREFECT_API_URL")
    if elsewhere and elsewhere != api_url:
        say(f"Your shell sets PREFECT_API_URL={elsewhere}, which overrides prefect.toml: unset it to use this server.")


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(_TOML_MARK)


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


def _can_listen(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((_HOST, 0))
        return probe.getsockname()[1]


def _state_dir(root: Path) -> Path:
    return root / ".prefect"


def _url(daemon: Daemon) -> str:
    return f"http://{_HOST}:{daemon.port}"
