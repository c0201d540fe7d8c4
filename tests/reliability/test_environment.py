"""What is installed is what was tested."""

import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from prefect_project import make_project

from flows.server import local_server as server

LOCK = Path(__file__).parents[2] / "requirements.lock"


def named(text):
    return re.sub(r"[-_.]+", "-", text).lower()


@pytest.mark.promise(
    24,
    "A fresh environment works, today and in a year",
    "every version is fixed by a lock file; a server is healthy 60 s after `pear up`",
)
def test_every_package_has_the_version_of_the_lock_file(measured):
    locked = dict(line.split(";")[0].strip().split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    other, absent = {}, []
    for name, wanted in locked.items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            absent.append(name)
            continue
        if found != wanted.partition("+")[0]:
            other[name] = f"{found}, locked {wanted}"
    assert not other
    assert len(absent) < len(locked) / 10, absent  # Extras that this environment does without.
    measured(f"{len(locked) - len(absent)} of {len(locked)} locked packages installed, each of its version")


@pytest.mark.promise(24)
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_server_is_healthy_within_a_minute(tmp_path, measured):
    root = make_project(tmp_path / "project")
    started = time.monotonic()
    try:
        assert server.up(root, port=0, timeout_s=300, say=lambda _: None).healthy
        seconds = time.monotonic() - started
    finally:
        server.down(root, say=lambda _: None)
    assert seconds < 60
    measured(f"healthy after {seconds:.0f} s")
