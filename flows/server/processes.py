"""Background processes that outlive the command which started them, and that can be found and ended again.

A process is known by its pid *and* its start time (a pid alone is soon given to somebody else). Everything it starts
inherits the variable ``PEAR_STATE_DIR``; that mark finds descendants even after their parents are gone.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK = "PEAR_STATE_DIR"
"""Environment variable that every process of one server carries; its value is the folder with the pid files."""

RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"
"""Where Prefect tells a process which flow run it is; only what a worker starts has it."""

_START_TIME_TOLERANCE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Daemon:
    """One background process, as its pid file describes it."""

    name: str
    """Stem of the pid file and of the log file."""
    pid: int
    """Process id."""
    started: float
    """Start time in seconds since 1970, as the operating system tells it."""
    port: int | None = None
    """TCP port it listens on, if any."""


def start(
    name: str,
    command: Sequence[str],
    *,
    state_dir: Path,
    cwd: Path,
    env: Mapping[str, str],
    port: int | None = None,
) -> Daemon:
    """Starts a command in a session of its own, with its output in ``<state_dir>/<name>.log``."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with log_path(state_dir, name).open("wb") as log:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**env, MARK: str(state_dir.resolve())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    daemon = Daemon(name=name, pid=process.pid, started=psutil.Process(process.pid).create_time(), port=port)
    _pid_path(state_dir, name).write_text(json.dumps(asdict(daemon)) + "\n", encoding="utf-8")
    return daemon


def find(state_dir: Path, name: str) -> Daemon | None:
    """The daemon of that name if it is alive, else None (also when its pid now belongs to another process)."""
    path = _pid_path(state_dir, name)
    try:
        daemon = Daemon(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
    return daemon if is_alive(daemon) else None


def is_alive(daemon: Daemon) -> bool:
    """Whether that very process still runs (a dead one that nobody has waited for does not)."""
    try:
        process = psutil.Process(daemon.pid)
        same = abs(process.create_time() - daemon.started) < _START_TIME_TOLERANCE_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def environment_of(process: Daemon | psutil.Process) -> dict[str, str]:
    """The environment that the process was started with; empty if it is gone."""
    try:
        return psutil.Process(process.pid).environ()
    except (psutil.Error, OSError):
        return {}


def members(state_dir: Path) -> list[psutil.Process]:
    """All living processes that carry the mark of this folder, but for the caller and its ancestors."""
    mark = str(state_dir.resolve())
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
            continue  # gone meanwhile, or of another user: not ours either way
    return found


def descendants(daemon: Daemon) -> list[psutil.Process]:
    """The daemon and what it has started, directly or not; empty if it is gone."""
    if not is_alive(daemon):
        return []
    try:
        process = psutil.Process(daemon.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: Sequence[psutil.Process], *, grace_s: float) -> None:
    """Asks the processes to stop (SIGTERM) and kills those that still run after ``grace_s`` seconds."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=2.0)


def forget(state_dir: Path, name: str) -> None:
    """Removes the pid file; the log stays."""
    _pid_path(state_dir, name).unlink(missing_ok=True)


def log_path(state_dir: Path, name: str) -> Path:
    """Where a daemon's output goes."""
    return state_dir / f"{name}.log"


def log_tail(state_dir: Path, name: str, *, lines: int = 12) -> str:
    """The last lines of a daemon's output, for an error message."""
    path = log_path(state_dir, name)
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _pid_path(state_dir: Path, name: str) -> Path:
    return state_dir / f"{name}.pid.json"
