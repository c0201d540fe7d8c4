"""deploy/compose.yaml: what can be told without a container engine, and its commands run as they stand as processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from postgres import postgres, program
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names
from prefect_project import make_project

from flows.server import own_server, provision

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"] == "pear-pipeline"}


def test_services_wait_for_what_exists_and_can_tell_when_it_is_ready():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            other = SERVICES[needed]
            assert set(other.get("profiles", ())) <= set(service.get("profiles", ())), f"{name} without {needed}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in other, f"{name} waits for the health of {needed}"
            if how["condition"] == "service_completed_successfully":
                assert other.get("restart", "no") == "no", f"{needed} would never end"


def test_only_this_machine_reaches_the_page_and_nothing_else_has_a_door():
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["server"]
    assert all(port.startswith("127.0.0.1:") for port in ports["server"])


def test_images_of_others_have_a_version():
    for name in SERVICES.keys() - OURS:
        assert re.search(r":.*\d", SERVICES[name]["image"]), name


def test_variables_are_settings_of_prefect_with_the_values_of_pear_up(tmp_path):
    known = _get_valid_setting_names(Settings)
    ours = own_server.environment(tmp_path)
    for name in OURS:
        for variable, value in SERVICES[name]["environment"].items():
            assert not variable.startswith("PREFECT_") or variable in known, variable
            if variable in ours and variable != "PREFECT_HOME":
                assert value == ours[variable], variable
    assert SERVICES["worker"]["command"][4] == provision.WORK_POOL


def test_the_database_is_the_one_that_is_there_and_its_password_is_asked_for():
    ours, theirs = SERVICES["server"]["environment"], SERVICES["postgres"]["environment"]
    prefix = "PREFECT_SERVER_DATABASE_"
    assert ours[f"{prefix}HOST"] in SERVICES
    assert ours[f"{prefix}USER"] == theirs["POSTGRES_USER"]
    assert ours[f"{prefix}NAME"] == theirs["POSTGRES_DB"]
    assert theirs["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_the_image_installs_extras_that_exist_and_holds_every_package():
    text = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.search(r"--editable \"\.\[(.*)\]\"", text)
    assert extras
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras[1].split(","))
    kept = (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    packages = re.search(r"include = \[(.*?)\]", project)
    assert packages
    assert {f"!{name}" for name in re.findall(r'"(\w+)\*"', packages[1])} <= set(kept)


def test_without_a_server_it_says_so(monkeypatch, capsys):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert provision.main() == 2
    assert "PREFECT_API_URL names no server" in capsys.readouterr().err


class _Containers:
    """Commands and variables of the services as processes of this machine, with its addresses for theirs."""

    def __init__(self, root: Path, port: int, database: str) -> None:
        address = urlsplit(database)
        self.root, self.port, self.running = root, port, []
        self.places = {
            "http://server:4200": f"http://127.0.0.1:{port}",
            "http://127.0.0.1:4200": f"http://127.0.0.1:{port}",
            "/tmp/prefect": str(root / ".prefect"),
            "${POSTGRES_PASSWORD}": unquote(address.password or ""),
            "${PORT:-4200}": str(port),
        }
        self.database = {
            "PREFECT_SERVER_DATABASE_HOST": address.hostname or "",
            "PREFECT_SERVER_DATABASE_PORT": str(address.port),
            "PREFECT_SERVER_DATABASE_USER": address.username or "",
        }

    def start(self, name: str, command: list[str] | None = None) -> subprocess.Popen:
        service = SERVICES[name]
        variables = {key: self._here(value) for key, value in service.get("environment", {}).items()}
        if "PREFECT_SERVER_DATABASE_HOST" in variables:
            variables |= self.database
        # The container holds nothing of the shell; HOME and PATH as the image sets them.
        env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.root)} | variables
        words = [self._here(word) for word in command or service["command"]]
        words = [str(self.port) if word == "4200" else "127.0.0.1" if word == "0.0.0.0" else word for word in words]
        process = subprocess.Popen(words, cwd=self.root, env=env, start_new_session=True)
        self.running.append(process)
        return process

    def wait_for_health(self, name: str, timeout_s: float) -> None:
        command = SERVICES[name]["healthcheck"]["test"][1:]
        deadline = time.monotonic() + timeout_s
        while self.start(name, command).wait() != 0:
            assert time.monotonic() < deadline, f"{name} is not healthy after {timeout_s} s"
            time.sleep(1)

    def _here(self, text: str) -> str:
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(program("initdb") is None, reason="needs PostgreSQL: apt-get install postgresql")
def test_its_commands_make_a_server_with_a_worker_that_sigterm_ends(tmp_path):
    root = make_project(tmp_path / "project")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with postgres() as url:
        containers = _Containers(root, port, url)
        try:
            server = containers.start("server")
            containers.wait_for_health("server", 180)
            assert containers.start("init").wait(180) == 0
            assert containers.start("init").wait(180) == 0  # once more, as after a restart
            worker = containers.start("worker")
            run = ["prefect", "deployment", "run", "annotate-part-labels/local", "--watch"]
            assert containers.start("worker", run).wait(240) == 0
            for process in (worker, server):
                process.terminate()
                process.wait(30)
        finally:
            containers.end()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_container_engine_brings_it_up(tmp_path):
    engine = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True)
    if not engine or engine.returncode or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("needs a container engine with compose")
    env = os.environ | {"PHOTOS": str(tmp_path), "POSTGRES_PASSWORD": "p@ss/word", "PORT": "4242"}
    compose = ["docker", "compose", "--project-name", "pear-test", "--file", str(ROOT / "deploy/compose.yaml")]
    try:
        subprocess.run([*compose, "up", "--build", "--detach", "--wait"], check=True, env=env)
        run = ["prefect", "deployment", "run", "annotate-part-labels/local", "--watch"]
        subprocess.run([*compose, "exec", "-T", "worker", *run], check=True, env=env)
    finally:
        subprocess.run([*compose, "down", "--volumes", "--timeout", "30"], check=True, env=env)
