"""The Prefect server of a project's folder: its process, its port, its database and the environment it is given."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from flows.server import address_file, external, processes
from flows.server.database import PREFIXES, check_database, database_settings, described
from flows.server.processes import Daemon
from flows.server.provision import HEARTBEAT_S

PORT_VARIABLE = "PEAR_PREFECT_PORT"

_HOST = "127.0.0.1"

_DATABASE_S = 30
"""Time that a database has to answer, unless the shell says another: of several flows at once a busy machine takes more
than Prefect's five seconds to connect."""


class ServerError(RuntimeError):
    """The server or its worker could not be started; the message says why and what to do."""


def started(root: Path, server: Daemon | None, port: int, timeout_s: float, say: Callable[[str], None]) -> Daemon:
    """The server of the folder, started unless it runs; what it keeps its records in is said and held to."""
    state_dir = state_dir_of(root)
    database = database_settings(os.environ)
    kept_in = described(database, state_dir)
    if server is None:
        check_database(database)
        server = _start_server(root, port, database, timeout_s)
        say(f"Prefect server: {page_of(server)}")
    else:
        _wait_for_health(server, state_dir, timeout_s)
        running = described(database_settings(processes.environment_of(server)), state_dir)
        if database and running != kept_in:
            raise ValueError(
                f"the Prefect server of this folder keeps its records in {running}, and the shell names {kept_in};"
                " to change over: pear down, then pear up"
            )
        kept_in = running
        say(f"Prefect server: {page_of(server)} (was running)")
    say(f"Records: {kept_in}")
    unused = sorted(
        name
        for name in os.environ
        if name.startswith("PREFECT_") and not name.startswith(PREFIXES) and name != "PREFECT_API_URL"
    )
    if unused:
        say(f"Set in your shell and not used by this server: {', '.join(unused)}")
    return server


def environment(root: Path, api_url: str | None = None) -> dict[str, str]:
    """Environment for server, worker and flow runs: the caller's, its Prefect settings replaced by the project's.

    Nothing is sent anywhere but to the project's server. What somebody else's server may ask for (a key) is kept for
    that one only.
    """
    keep = external.ACCESS if external.remembered(state_dir_of(root.resolve())) else ()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_") or name in keep}
    env |= {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(state_dir_of(root.resolve())),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLIENT_MAX_RETRIES": str(address_file.MAX_RETRIES),
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": str(address_file.RETRIED_TOO),
        "PREFECT_SERVER_DATABASE_TIMEOUT": str(_DATABASE_S),
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": str(_DATABASE_S),
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    if api_url is not None:
        env["PREFECT_API_URL"] = api_url
    return env


def _start_server(root: Path, port: int, database: Mapping[str, str], timeout_s: float) -> Daemon:
    port = port or _free_port()
    if not _can_listen(port):
        raise ServerError(
            f"port {port} is taken by another program: end it, or choose another port with {PORT_VARIABLE}=4201"
        )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
    env = environment(root, f"http://{_HOST}:{port}/api") | dict(database)
    state_dir = state_dir_of(root)
    server = processes.start("server", command, state_dir=state_dir, cwd=state_dir, env=env, port=port)
    _wait_for_health(server, state_dir, timeout_s)
    return server


def _wait_for_health(server: Daemon, state_dir: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not processes.is_alive(server):
            raise ServerError(f"the Prefect server ended at once:\n{processes.log_tail(state_dir, 'server')}")
        if is_healthy(api_url_of(server)):
            return
        time.sleep(0.1)
    raise ServerError(
        f"the Prefect server did not answer within {timeout_s:.0f} s:\n{processes.log_tail(state_dir, 'server')}"
    )


def is_healthy(api_url: str) -> bool:
    """Whether the server at that address answers."""
    # A proxy is never asked for this machine.
    proxies = urllib.request.ProxyHandler({} if api_url.startswith(f"http://{_HOST}:") else None)
    try:
        with urllib.request.build_opener(proxies).open(f"{api_url}/health", timeout=5.0) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


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


def state_dir_of(root: Path) -> Path:
    """Where pid files, logs and the database of SQLite are."""
    return root / ".prefect"


def page_of(daemon: Daemon) -> str:
    """Address of the server's page."""
    return f"http://{_HOST}:{daemon.port}"


def api_url_of(daemon: Daemon) -> str:
    """Address of the server's API."""
    return f"{page_of(daemon)}/api"
