"""Which database the server keeps its records in: the shell's, or SQLite; said, and never dropped without a word."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from postgres import postgres, program
from prefect_project import make_project
from sqlalchemy.engine import make_url

from flows.server import local_server as server
from flows.server.database import DatabaseError, check_database, database_settings, described

URL = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
FLOWS, TASKS = 8, 300
WORK_S = 300
"""Time that the flows have."""
LATE_S = 300
"""The server writes task runs down from its events, some time after they have ended."""


@pytest.mark.parametrize("written", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_an_address_of_postgres_gets_the_driver_that_prefect_needs(written, tmp_path):
    settings = database_settings({URL: f"{written}://me:s%40cret@host/records", "PREFECT_API_URL": "x", "HOME": "/"})
    assert settings == {URL: "postgresql+asyncpg://me:s%40cret@host/records"}
    assert described(settings, tmp_path) == "PostgreSQL at host:5432/records"


def test_the_older_name_and_single_parts_are_understood(tmp_path):
    older = {"PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://host:5433/records"}
    assert described(database_settings(older), tmp_path) == "PostgreSQL at host:5433/records"
    parts = {"DRIVER": "postgresql+asyncpg", "HOST": "host", "PORT": "5434", "NAME": "records", "USER": "me"}
    settings = database_settings({f"PREFECT_SERVER_DATABASE_{name}": value for name, value in parts.items()})
    assert described(settings, tmp_path) == "PostgreSQL at host:5434/records"


def test_a_password_may_have_a_variable_of_its_own():
    password = "PREFECT_SERVER_DATABASE_PASSWORD"
    settings = database_settings({URL: f"postgresql://me:${{{password}}}@host/records", password: "a/b@c"})
    assert make_url(settings[URL]).password == "a/b@c"


def test_without_settings_it_is_sqlite_in_the_folder(tmp_path):
    assert described(database_settings({"HOME": "/", URL: ""}), tmp_path) == f"SQLite, {tmp_path / 'prefect.db'}"
    named = database_settings({URL: "sqlite:////data/records.db"})
    assert named == {URL: "sqlite+aiosqlite:////data/records.db"}
    assert described(named, tmp_path) == "SQLite, /data/records.db"
    check_database(named)  # nothing to connect to


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://me:secret@host/records", r"begins with mysql://; Prefect keeps its records in PostgreSQL"),
        ("me:secret@host", r"is no address of a database; expected for example postgresql\+asyncpg://"),
        ("postgresql://me:secret@host:port/records", "is no address of a database"),
    ],
)
def test_an_address_of_something_else_is_refused_without_its_password(address, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv(URL, address)
    with pytest.raises(DatabaseError, match=sentence) as refused:
        server.up(make_project(tmp_path / "project"), port=0)
    assert "secret" not in str(refused.value)


def test_a_database_that_does_not_answer_is_said_so_before_anything_starts(tmp_path, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    monkeypatch.setenv(URL, f"postgresql://me:secret@127.0.0.1:{port}/records")
    root = make_project(tmp_path / "project")
    with pytest.raises(ValueError, match=rf"PostgreSQL at 127\.0\.0\.1:{port}/records.* cannot be used.*unset") as said:
        server.up(root, port=0)
    assert "secret" not in str(said.value)
    assert not (root / "prefect.toml").exists()
    assert server.status(root).server_pid is None


@pytest.mark.long
@pytest.mark.skipif(program("initdb") is None, reason="needs PostgreSQL: apt-get install postgresql")
def test_what_stands_behind_an_address_is_for_prefects_driver():
    with postgres() as url:
        check_database(database_settings({URL: f"{url}?prepared_statement_cache_size=0&ssl=disable"}))
        with pytest.raises(DatabaseError, match=r"cannot be used: .*nothing_of_this_name"):
            check_database(database_settings({URL: f"{url}?nothing_of_this_name=1"}))
        with pytest.raises(DatabaseError, match=r"PostgreSQL at 127\.0\.0\.1:\d+/absent.*does not exist"):
            check_database(database_settings({URL: url.replace("/prefect", "/absent")}))


async def _counts(url: str) -> tuple[int, int]:
    """Flow runs that completed and task runs that completed, read from the database itself."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        flows = await connection.fetchval("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'")
        tasks = await connection.fetchval("SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'")
        return flows, tasks
    finally:
        await connection.close()


@pytest.mark.promise(
    5,
    "Several flows at once lose nothing",
    "8 flows of 300 task runs at once on PostgreSQL: no flow lost; what SQLite is good for is said (docs/servers.md)",
)
@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.skipif(program("initdb") is None, reason="needs PostgreSQL: apt-get install postgresql")
def test_eight_flows_at_once_on_postgres_lose_nothing(tmp_path, monkeypatch, measured):
    """8 x 300 task runs: every one is in PostgreSQL within five minutes of the end."""
    root, said = make_project(tmp_path / "project"), []
    with postgres() as url:
        wrong = url.replace("owner:", "owner:not")
        monkeypatch.setenv(URL, wrong)
        with pytest.raises(ValueError, match="password authentication failed"):
            server.up(root, port=0)
        monkeypatch.setenv(URL, url)
        try:
            state = server.up(root, port=0, timeout_s=300, say=said.append)
            assert any(line.startswith("Records: PostgreSQL at 127.0.0.1:") for line in said)
            assert "ss/word" not in "".join(said)
            monkeypatch.setenv(URL, "sqlite:///elsewhere.db")
            with pytest.raises(ValueError, match=r"keeps its records in PostgreSQL.*pear down, then pear up"):
                server.up(root, port=0)
            _start_flows(state.api_url)
            started, ended = time.monotonic(), None
            while (counts := asyncio.run(_counts(url))) != (FLOWS, FLOWS * TASKS):
                if ended is None and counts[0] == FLOWS:
                    ended = time.monotonic()
                assert time.monotonic() < (ended or started + WORK_S) + LATE_S, f"flow runs, task runs: {counts}"
                time.sleep(2)
            measured(
                f"{FLOWS} flows of {TASKS} task runs at once: {FLOWS} completed after {(ended or 0) - started:.0f} s, "
                f"{counts[1]} of {FLOWS * TASKS} task runs recorded after {time.monotonic() - started:.0f} s"
            )
        finally:
            server.down(root, say=lambda _: None)


def _start_flows(api_url: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("annotate-part-labels/local")
        for _ in range(FLOWS):
            client.create_flow_run_from_deployment(deployment.id, parameters={"overrides": {"shards": TASKS}})
