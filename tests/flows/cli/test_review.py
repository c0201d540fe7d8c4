"""What `pear audit` prints can be typed, and what was typed is counted by it."""

import getpass
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from whole_labels import person, write

from flows.cli.app import app

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"


@pytest.fixture
def pear(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "labels", [person(number, rng) for number in range(3)])
    placed = ["--params", str(PARAMS), "--set", f"output.labels={tmp_path}/labels", "--reviews", f"{tmp_path}/reviews"]
    return lambda *typed: CliRunner().invoke(app, [*typed, *placed])


def test_an_audit_is_what_was_typed_as_it_says(pear):
    said = pear("audit", "face", "--size", "2").output
    typed = re.search(r"pear review ID (face=accept) --audit (\S+)", said)
    open_ids = re.findall(r"^  (demo/\S+)$", said, re.MULTILINE)
    assert len(open_ids) == 2
    done = pear("review", open_ids[0], typed[1], "--audit", typed[2], "--reviewer", "me")
    assert done.exit_code == 0, done.output
    told = json.loads(pear("audit", "face", "--size", "2", "--json").output)
    assert (told["judged"], told["right"], told["open"], told["tag"]) == (1, 1, open_ids[1:], typed[2])


def test_who_judges_has_to_be_said_where_nobody_knows(pear, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    done = pear("review", "demo/train/0.jpg#0", "face=accept")
    assert done.exit_code == 2
    assert "--reviewer NAME" in done.output
