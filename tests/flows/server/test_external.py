"""pear up --external: a worker and this project's flows for a server that somebody else runs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect_project import make_project

from flows.server import external, processes
from flows.server import local_server as server
from flows.server.provision import crash_unfinished


@pytest.mark.parametrize(
    ("written", "api"),
    [
        ("http://gpu7:4200", "http://gpu7:4200/api"),
        (" http://gpu7:4200/ ", "http://gpu7:4200/api"),
        ("https://prefect.example/api/", "https://prefect.example/api"),
        ("https://example.org/prefect/api?x=1#top", "https://example.org/prefect/api"),
        ("https://cloud.example/api/accounts/a/workspaces/b", "https://cloud.example/api/accounts/a/workspaces/b"),
    ],
)
def test_any_address_of_the_server_leads_to_its_api(written, api):
    assert external.api_address(written) == api
    assert external.api_address(api) == api


@pytest.mark.parametrize("written", ["gpu7:4200", "", "ftp://gpu7", "http://"])
def test_what_is_no_address_is_refused(written, tmp_path):
    with pytest.raises(ValueError, match="--external takes the address of a Prefect server, as http://host:4200"):
        server.up(make_project(tmp_path / "project"), external_url=written)


def test_a_port_says_nothing_about_somebody_elses_server(tmp_path):
    with pytest.raises(ValueError, match="--port is that of a server of this folder"):
        server.up(make_project(tmp_path / "project"), external_url="http://gpu7:4200", port=4201)


@pytest.mark.parametrize("written", ["https://me:secret@host:1/api", "me:secret@host"])
def test_an_address_with_a_password_is_refused_and_not_repeated(written, tmp_path):
    """It would stand in prefect.toml."""
    root = make_project(tmp_path / "project")
    with pytest.raises(ValueError, match="without user and password; give them by PREFECT_API_AUTH_STRING") as said:
        server.up(root, external_url=written)
    assert "secret" not in str(said.value)
    assert not (root / "prefect.toml").exists()


def test_keys_go_to_somebody_elses_server_only(tmp_path, monkeypatch):
    root = make_project(tmp_path / "project")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    assert "PREFECT_API_KEY" not in server.environment(root)
    external.remember(root / ".prefect", "https://host/api")
    assert server.environment(root)["PREFECT_API_KEY"] == "secret"


@pytest.mark.long
def test_a_server_that_does_not_answer_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    root = make_project(tmp_path / "project")
    with pytest.raises(ValueError, match=r"the Prefect server at http://127\.0\.0\.1:9/api cannot be used"):
        server.up(root, external_url="http://127.0.0.1:9", say=lambda _: None)
    assert server.status(root).url is None
    assert not (root / "prefect.toml").exists()


def test_a_folder_works_for_one_server(tmp_path):
    root = make_project(tmp_path / "project")
    external.remember(root / ".prefect", "http://gpu7:4200/api")
    for asked in ({}, {"external_url": "http://gpu8:4200"}):
        with pytest.raises(ValueError, match=r"works for the Prefect server http://gpu7:4200/api.*first: pear down"):
            server.up(root, **asked)
    said = []
    server.down(root, say=said.append)
    assert said == ["Worker ended; the Prefect server http://gpu7:4200/api is not ours and runs on."]
    assert server.status(root).url is None


def test_runs_of_others_do_not_hide_ours_from_being_crashed(monkeypatch):
    """A server gives 200 runs at a time."""
    ours, asked, crashed = str(uuid4()), [], []

    class Client:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def read_flow_runs(self, *, flow_run_filter):
            asked.append(flow_run_filter)
            everybody = [str(uuid4()) for _ in range(300)] + [ours]
            wanted = None if flow_run_filter.id is None else {str(own) for own in flow_run_filter.id.any_}
            return [SimpleNamespace(id=own) for own in everybody if wanted is None or own in wanted][:200]

        async def set_flow_run_state(self, run, *_, **__):
            crashed.append(run)

    monkeypatch.setattr("prefect.client.orchestration.get_client", Client)
    assert crash_unfinished("http://gpu7:4200/api", "gone", run_ids={ours}) == 1
    assert crashed == [ours]
    assert asked[0].state is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_second_folder_works_for_the_server_of_the_first(tmp_path):
    one, root, said = make_project(tmp_path / "first"), make_project(tmp_path / "second"), []
    try:
        first = server.up(one, port=0, gpu_slots=3, timeout_s=300, say=lambda _: None)
        state = server.up(root, external_url=first.url, timeout_s=300, say=said.append)
        assert (state.api_url, state.healthy, state.server_pid) == (first.api_url, True, None)
        assert state.worker_pid is not None
        assert not server.forget_dead_server(root)
        assert first.api_url in (root / "prefect.toml").read_text()
        client = _client(first.api_url)
        assert client.read_global_concurrency_limit_by_name("gpu").limit == 3, "a limit of others was changed"
        deployment = client.read_deployment_by_name("annotate-part-labels/local")
        processes.end(processes.descendants(_worker(one)), grace_s=4.0)
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"overrides": {"sleep": 600}})
        _wait(lambda: client.read_flow_run(run.id).state_name == "Running")
        others = client.create_flow_run_from_deployment(deployment.id, job_variables={})
        _wait(lambda: client.read_flow_run(others.id).state_name == "Completed")
        assert server.down(root, say=said.append)
        assert "is not ours and runs on" in said[-1]
        assert client.read_flow_run(run.id).state_name == "Crashed"
        assert client.read_flow_run(others.id).state_name == "Completed"
        assert processes.members(root / ".prefect") == []
        assert server.status(one).healthy
    finally:
        server.down(root, say=lambda _: None)
        server.down(one, say=lambda _: None)


def _worker(root):
    worker = processes.find(root / ".prefect", "worker")
    assert worker is not None
    return worker


def _client(api_url):
    from prefect.client.orchestration import SyncPrefectClient

    return SyncPrefectClient(api_url)


def _wait(condition):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)
