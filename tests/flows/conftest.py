"""What tests of runs share: one real Prefect server in a project folder of its own, small pages, the commands."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from prefect_project import make_project
from small_pages import small_pages

from flows.server import local_server as server


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the server are long; the first also waits for it to start, minutes on a busy machine."""
    for item in items:
        if "project_with_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def commands_made_once() -> Iterator[None]:
    """Typer makes all commands anew at every call of a test, which takes longer than most of them do."""
    import typer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Pages of runs in these tests have few and small pictures."""
    with small_pages():
        yield


@contextmanager
def counted(users: Path, change: int) -> Iterator[int]:
    """How many files of tests use the server besides this one, while no other process asks that."""
    with users.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = int(file.read() or 0)
        yield min(before, before + change)
        file.truncate(0)
        file.write(str(before + change))


@pytest.fixture(scope="module")
def project_with_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Project folder whose server and worker run: one for all files that use it meanwhile, of which the last ends it.

    Other processes test with it at the same time: a test that changes a limit or ends a worker has a server of its own.
    A server that nobody asks anything takes a twentieth of a core, so these files are run next to each other.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    root, users = base / "project", base / "users_of_the_server"
    with counted(users, +1) as others:
        if not others:
            server.up(root if root.exists() else make_project(root), port=0, timeout_s=300, say=lambda _: None)
    yield root
    with counted(users, -1) as others:
        if not others:
            server.down(root, say=lambda _: None)


@pytest.fixture
def api(project_with_server: Path) -> Iterator[str]:
    """Address of the server's API; flows called inside the test report to it."""
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

    url = server.status(project_with_server).api_url
    assert url is not None
    with temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_LEVEL: "ERROR"}):
        yield url


@pytest.fixture
def prefect_command(project_with_server: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``prefect ...`` as a person does who stands in the project folder."""

    def run(*arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in server.environment(project_with_server).items() if not k.startswith("PREFECT_")}
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=project_with_server, env=env, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return run
