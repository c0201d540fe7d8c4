"""pear up and pear down, with real servers."""

from __future__ import annotations

import ast
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from prefect_api import ask
from prefect_project import PROJECT, make_project

from flows.server import address_file, processes, provision
from flows.server import local_server as server


def test_prefect_yaml_names_the_flows_and_no_machine():
    text = (PROJECT / "prefect.yaml").read_text(encoding="utf-8")
    deployments = yaml.safe_load(text)["deployments"]
    flows = {
        f"flows/{path.name}:{node.name}"
        for path in (PROJECT / "flows").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(made).startswith("flow(") for made in node.decorator_list)
    }
    assert sorted(deployment["entrypoint"] for deployment in deployments) == sorted(flows)
    for deployment in deployments:
        assert (deployment["name"], deployment["work_pool"]["name"]) == ("local", provision.WORK_POOL)
    assert str(Path.home()) not in text


def test_the_automation_minds_every_flow_of_the_project():
    names = {
        ast.literal_eval(node.value)
        for path in (PROJECT / "flows").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("FLOW_NAME")
    }
    assert sorted(names) == sorted(provision.FLOWS)


def test_nothing_is_sent_outside(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_API_URL", "https://elsewhere.example/api")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    env = server.environment(tmp_path)
    assert env["DO_NOT_TRACK"] == "1"
    assert env["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_API_URL" not in env
    assert "PREFECT_API_KEY" not in env


def test_a_taken_port_is_said_so(tmp_path):
    make_project(tmp_path / "project")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(server.ServerError, match=rf"port {port} is taken by another program.*PEAR_PREFECT_PORT"):
            server.up(tmp_path / "project", port=port)
    assert not (tmp_path / "project" / "prefect.toml").exists()


def test_a_server_that_dies_is_said_so_with_its_last_lines(tmp_path, monkeypatch):
    make_project(tmp_path / "project")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such database\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(server.ServerError, match=r"ended at once:\nno such database"):
        server.up(tmp_path / "project", port=0, timeout_s=20)
    assert server.status(tmp_path / "project").server_pid is None


@pytest.mark.parametrize("value", ["eighty", "-1", "70000", ""])
def test_a_port_that_is_none_is_refused(tmp_path, monkeypatch, value):
    make_project(tmp_path / "project")
    monkeypatch.setenv("PEAR_PREFECT_PORT", value)
    with pytest.raises(ValueError, match="PEAR_PREFECT_PORT must be a number from 0 to 65535"):
        server.up(tmp_path / "project")


def test_up_outside_of_the_project_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no prefect\.yaml"):
        server.up(tmp_path)


def test_down_without_a_server_does_nothing(tmp_path):
    assert server.down(tmp_path, say=lambda _: None) is False


def test_a_settings_file_left_by_a_dead_server_is_removed_and_a_persons_own_is_not(tmp_path):
    toml = tmp_path / "prefect.toml"
    toml.write_text(address_file.MARK + "\n[api]\nurl = 'http://127.0.0.1:1/api'\n")
    assert server.forget_dead_server(tmp_path)
    assert not toml.exists()
    toml.write_text("[api]\nurl = 'http://127.0.0.1:1/api'\n")
    assert not server.forget_dead_server(tmp_path)
    assert toml.exists()


def test_after_up_there_are_pool_limit_automation_deployment_and_worker(project_with_server):
    state = server.status(project_with_server)
    assert state.healthy
    assert state.worker_pid is not None
    assert ask(f"{state.api_url}/work_pools/local-process")["type"] == "process"
    assert ask(f"{state.api_url}/v2/concurrency_limits/gpu")["limit"] == 1
    (automation,) = ask(f"{state.api_url}/automations/filter", {})
    assert (automation["name"], automation["enabled"]) == (provision.AUTOMATION, True)
    assert automation["trigger"]["within"] == provision.SILENCE_S
    deployment = ask(f"{state.api_url}/deployments/name/annotate-part-labels/local")
    (step,) = deployment["pull_steps"]
    assert step == {"prefect.deployments.steps.set_working_directory": {"directory": str(project_with_server)}}


def test_a_shell_in_the_project_folder_finds_the_server(project_with_server, monkeypatch):
    from prefect.settings import Settings

    monkeypatch.chdir(project_with_server)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    settings = Settings()
    assert settings.api.url == server.status(project_with_server).api_url
    assert settings.flows.heartbeat_frequency == provision.HEARTBEAT_S
    assert settings.client.retry_extra_codes == {500}
    assert not server.forget_dead_server(project_with_server)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_up_again_keeps_the_server_and_its_worker(tmp_path):
    root = make_project(tmp_path / "project")
    try:
        before = server.up(root, port=0, timeout_s=300, say=lambda _: None)
        assert server.up(root, port=0, gpu_slots=2, say=lambda _: None) == before
        assert ask(f"{before.api_url}/v2/concurrency_limits/gpu")["limit"] == 2
        assert len(ask(f"{before.api_url}/automations/filter", {})) == 1
    finally:
        server.down(root, say=lambda _: None)


@pytest.mark.slow
def test_the_literal_command_runs_the_flow(prefect_command):
    for name in ("annotate-part-labels", "annotate-part-labels/local"):
        done = prefect_command("deployment", "run", name, "--watch")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_flow_run_that_fails_fails_the_command(prefect_command):
    done = prefect_command("deployment", "run", "annotate-part-labels", "--param", 'datasets=["broken"]', "--watch")
    assert done.returncode == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_down_ends_everything_it_started_and_nothing_else(tmp_path):
    root = make_project(tmp_path / "project")
    bystander = psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        state = server.up(root, port=0, timeout_s=300, say=lambda _: None)
        deployment = ask(f"{state.api_url}/deployments/name/annotate-part-labels/local")
        parameters = {"parameters": {"overrides": {"sleep": 600}}}
        run = ask(f"{state.api_url}/deployments/{deployment['id']}/create_flow_run", parameters)
        deadline = time.monotonic() + 60
        while ask(f"{state.api_url}/flow_runs/{run['id']}")["state_type"] != "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        started = time.monotonic()
        assert server.down(root, say=lambda _: None)
        assert time.monotonic() - started < 10
        assert processes.members(root / ".prefect") == []
        assert not (root / "prefect.toml").exists()
        assert bystander.is_running()
        state = server.up(root, port=0, timeout_s=300, say=lambda _: None)
        assert ask(f"{state.api_url}/flow_runs/{run['id']}")["state_type"] == "CRASHED"
    finally:
        bystander.kill()
        bystander.wait()
        server.down(root, say=lambda _: None)


@pytest.mark.promise(
    3,
    "A run that was killed does not stay Running",
    "heartbeats of 30 s, an automation: Crashed at most 120 s after kill -9, and the next run is not held up",
)
@pytest.mark.slow
def test_a_killed_run_is_crashed_within_two_minutes_and_does_not_hold_up_the_next(
    project_with_server, prefect_command, measured
):
    state = server.status(project_with_server)
    deployment = ask(f"{state.api_url}/deployments/name/annotate-part-labels/local")
    parameters = {"parameters": {"overrides": {"sleep": 600}}}
    run = ask(f"{state.api_url}/deployments/{deployment['id']}/create_flow_run", parameters)
    url = f"{state.api_url}/flow_runs/{run['id']}"
    while ask(url)["state_type"] != "RUNNING":
        time.sleep(0.5)
    time.sleep(3)  # its first heartbeat is out
    worker = processes.find(project_with_server / ".prefect", "worker")
    assert worker is not None
    for process in reversed(processes.descendants(worker)):
        os.kill(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    server.up(project_with_server, port=0, say=lambda _: None)  # a new worker
    assert prefect_command("deployment", "run", "annotate-part-labels", "--watch").returncode == 0
    while ask(url)["state_type"] == "RUNNING":
        assert time.monotonic() - killed < 125, "still Running two minutes after kill -9"
        time.sleep(1)
    assert ask(url)["state_type"] == "CRASHED"
    measured(f"Crashed {time.monotonic() - killed:.0f} s after kill -9; a run started meanwhile was completed")
