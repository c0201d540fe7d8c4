"""Mistakes of `pear view` are one sentence, before anything is served."""

import socket

import pytest
from typer.testing import CliRunner

from flows.cli.app import app

pytest.importorskip("nicegui", reason="the extra view is not installed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    return tmp_path


def refused(*words):
    answer = CliRunner().invoke(app, ["view", *words])
    assert answer.exit_code == 2, answer.output
    return answer.output


def test_what_is_not_there_is_named(folder):
    assert "there is no folder" in refused("nowhere")
    assert "other.yaml" in refused("labels", "--params", "other.yaml")
    assert "params.yaml" in refused("labels", "--set", "output.work=elsewhere")


def test_a_port_that_somebody_has_is_named_with_the_way_out(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1 cannot be had" in refused("labels", "--port", str(port))


def test_others_are_let_in_by_a_token_alone(folder):
    assert "say --token" in refused("labels", "--host", "0.0.0.0", "--port", "0")
    assert "say by --origin" in refused("labels", "--host", "0.0.0.0", "--port", "0", "--token", "0123456789abcdef")
