"""A project folder: what it holds is what a run, DVC and git need, wherever it lies."""

import subprocess
import sys
from configparser import ConfigParser

import numpy as np
import pytest
import yaml
from PIL import Image
from plans import plan_of
from typer.testing import CliRunner

from datasets_manifest.manifest import load_manifest
from flows.cli.app import app
from tasks.annotate.settings import load_config
from tasks.annotate.workspace import Workspace


def init(*words):
    return CliRunner().invoke(app, ["init", *map(str, words)])


@pytest.fixture
def project(tmp_path):
    """A project whose name and photo folder have all that a shell or YAML could misread."""
    folder = tmp_path / "My trip: #1"
    answer = init(folder, "--photos", folder / "it's #1")
    assert answer.exit_code == 0, answer.output
    return folder


def test_a_new_project_can_be_planned(project, monkeypatch):
    (project / "it's #1").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(project / "it's #1/a.png")
    monkeypatch.chdir(project)
    config = load_config("params.yaml")
    assert config == load_config("params.yaml", {"datasets": ["photos.yaml"]})
    assert load_manifest("photos.yaml").id == "My_trip_1"
    plan = plan_of(config, Workspace.of(config.output))
    assert len(plan.shards) == 1


def test_photos_are_named_from_the_working_folder_as_on_any_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.cli.init._init_dvc", lambda _: None)
    init("mine", "--photos", "walk")
    init("yours", "--photos", "yours/walk")
    init("ours")
    roots = [
        yaml.safe_load((tmp_path / name / "photos.yaml").read_text())["root"] for name in ("mine", "yours", "ours")
    ]
    assert roots == [str(tmp_path / "walk"), "walk", "photos"]


@pytest.mark.long
def test_dvc_knows_the_stage_and_its_parameters(project):
    listed = subprocess.run([sys.executable, "-m", "dvc", "stage", "list"], cwd=project, capture_output=True, text=True)
    assert listed.stdout.split()[0] == "annotate", listed.stderr
    config = ConfigParser()
    config.read(project / ".dvc/config")
    assert dict(config["core"]) == {"no_scm": "True", "analytics": "false", "check_update": "false"}
    stage = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["annotate"]
    assert stage["cmd"] == "pear annotate --local"
    assert stage["params"] == ["annotate"]


@pytest.mark.long
@pytest.mark.parametrize("below", [".", "sub/project"])
def test_a_project_in_a_git_repository_is_tracked_by_it(tmp_path, below):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert init(tmp_path / below).exit_code == 0
    listed = subprocess.run(["git", "status", "--short", "-uall"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert f"{below}/params.yaml".removeprefix("./") in listed
    assert (tmp_path / below / ".dvc/config").read_text() == "[core]\n    analytics = false\n    check_update = false\n"


@pytest.mark.parametrize("name", ["params.yaml", "photos.yaml", ".gitignore", "dvc.yaml"])
def test_nothing_that_is_there_is_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    answer = init(tmp_path)
    assert answer.exit_code == 2
    assert f"has {name} already" in answer.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]
