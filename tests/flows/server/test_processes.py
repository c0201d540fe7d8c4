"""Background processes: found by pid and start time, ended with all descendants, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flows.server.local_server import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
CHILD_IN_ITS_OWN_SESSION = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True);"
    "time.sleep(600)",
]
IGNORES_SIGTERM = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


def _start(name: str, command: list[str], folder: Path) -> processes.Daemon:
    return processes.start(name, command, state_dir=folder, cwd=folder, env=dict(os.environ))


def _wait(condition, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    processes.end(processes.members(tmp_path), grace_s=0.5)


def test_a_started_daemon_is_found_and_a_dead_one_is_not(folder):
    daemon = _start("sleeper", SLEEP, folder)
    assert processes.find(folder, "sleeper") == daemon
    processes.end(processes.descendants(daemon), grace_s=5)
    assert processes.find(folder, "sleeper") is None


def test_a_pid_that_belongs_to_another_process_now_is_not_ours(folder):
    daemon = _start("sleeper", SLEEP, folder)
    assert not processes.is_alive(replace(daemon, started=daemon.started - 3600))


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"pid": 1}'])
def test_a_damaged_pid_file_counts_as_no_daemon(folder, text):
    (folder / "sleeper.pid.json").write_text(text)
    assert processes.find(folder, "sleeper") is None


def test_orphans_in_their_own_session_are_found_by_their_mark(folder):
    daemon = _start("parent", CHILD_IN_ITS_OWN_SESSION, folder)
    assert _wait(lambda: len(processes.members(folder)) == 2)
    os.kill(daemon.pid, 9)
    assert _wait(lambda: not processes.is_alive(daemon))
    (orphan,) = [p for p in processes.members(folder) if p.pid != daemon.pid]
    processes.end([orphan], grace_s=5)
    assert not psutil.pid_exists(orphan.pid) or orphan.status() == psutil.STATUS_ZOMBIE


def test_processes_of_another_folder_are_not_members(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    bystander = subprocess.Popen(SLEEP, env={**os.environ, processes.MARK: str(other)})
    try:
        assert processes.members(folder) == []
    finally:
        bystander.kill()
        bystander.wait()


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_time(folder):
    daemon = _start("stubborn", IGNORES_SIGTERM, folder)
    assert _wait(lambda: "ready" in processes.log_tail(folder, "stubborn"))
    started = time.monotonic()
    processes.end(processes.descendants(daemon), grace_s=0.5)
    assert not processes.is_alive(daemon)
    assert time.monotonic() - started < 60  # of 600


def test_the_log_tail_shows_the_last_lines(folder):
    processes.log_path(folder, "talker").write_text("\n".join(map(str, range(50))))
    assert processes.log_tail(folder, "talker", lines=2) == "48\n49"
