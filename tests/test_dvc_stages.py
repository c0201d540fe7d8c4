"""What dvc.yaml names exists: DVC says so only when somebody runs the stage."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from tasks.training.regressor.settings import load_train_config

ROOT = Path(__file__).resolve().parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def named_params(stage):
    """(file, dotted name) of every setting that a stage depends on."""
    for entry in stage.get("params", []):
        for file, names in (entry if isinstance(entry, dict) else {"params.yaml": [entry]}).items():
            yield from ((file, name) for name in names)


@pytest.mark.parametrize("name", STAGES)
def test_settings_of_a_stage_are_in_their_file(name):
    for file, dotted in named_params(STAGES[name]):
        node = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
        for key in dotted.split("."):
            assert key in node, f"{dotted} is not in {file}"
            node = node[key]


def test_what_the_training_writes_is_what_its_stage_names():
    config = load_train_config(ROOT / "params.train.yaml")
    written = {Path(getattr(config.output, f.name)).relative_to(ROOT).as_posix() for f in fields(config.output)}
    stage = STAGES["train"]
    named = {path for kind in ("outs", "metrics", "plots") for entry in stage[kind] for path in entry}
    assert named == written - {"runs/train"}  # states of runs are no results
    assert [*STAGES["people"]["outs"][0]] == [Path(config.synthetic.folder).relative_to(ROOT).as_posix()]


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_reads_is_here_or_made_by_another(name):
    made = {key for stage in STAGES.values() for out in stage["outs"] for key in out}
    for path in STAGES[name]["deps"]:
        assert (ROOT / path).exists() or path in made, path
