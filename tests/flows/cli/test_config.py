"""``pear config``: every setting with its value, its source and its sentence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app

ROOT = Path(__file__).resolve().parents[3]


def said(*words):
    answer = CliRunner().invoke(app, ["config", *words])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_value_source_and_sentence_of_each_setting():
    lines = said("--params", str(ROOT / "params.train-paper.yaml"), "--set", "steps=3", "--set", "every.log=7").split(
        "\n"
    )
    assert "steps = 3  (command line)" in lines
    assert "every.log = 7  (command line)" in lines
    assert "every.checkpoint = 2000  (file)" in lines
    assert "every.keep = 3  (default)" in lines
    assert lines[lines.index("precision = tf32  (file)") + 1].strip().startswith("``fp32``;")


def test_the_options_of_the_chosen_backends_are_listed():
    text = said(
        "--params", str(ROOT / "params.yaml"), "--set", "hands.backend=hamer", "--set", "hands.options.min_points=6"
    )
    assert "hands.options.min_points = 6  (command line)" in text
    assert "hands.options.batch_size = null  (default)" in text
    assert "hands.options.half = false  (default)\n    Half precision in the backbone" in text
    assert "keypoints.options.pose.min_score = " in text
    assert "options.device" not in text


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("params*.yaml")))
def test_the_table_names_the_same_settings(name):
    plain, table = said("--params", str(ROOT / name)), said("--params", str(ROOT / name), "--markdown")
    names = [line.split(" = ")[0] for line in plain.splitlines() if " = " in line and not line.startswith("    ")]
    assert names == [line.split("`")[1] for line in table.splitlines()[2:]]


def test_a_mistake_is_one_sentence():
    answer = CliRunner().invoke(app, ["config", "--params", str(ROOT / "params.yaml"), "--set", "run.worker=3"])
    assert answer.exit_code == 2
    assert "run: unknown setting worker; known are" in answer.stderr
