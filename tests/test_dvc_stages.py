"""What dvc.yaml names exists, and names all code that a stage runs: DVC says neither by itself."""

import ast
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml

from tasks.training import comparison
from tasks.training.photometric.settings import load_photometric_config
from tasks.training.regressor.settings import load_train_config
from tasks.training.renderer.settings import load_renderer_config

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("datasets_manifest", "model", "fitting", "tasks", "flows")
ENTRIES = {
    "annotate": "flows.run.orchestrate",
    "people": "tasks.synthetic.render",  # the command checks the labels as well, which changes no picture
    "train": "flows.run.training",
    "renderer": "tasks.training.renderer.run",
    "photometric": "tasks.training.photometric.request",
    "evaluate": "tasks.training.comparison",
    "benchmarks": "tasks.evaluate.on_benchmarks",
}
"""Module whose functions the command of a stage calls."""
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


TRAININGS = {"train": load_train_config, "renderer": load_renderer_config, "photometric": load_photometric_config}
"""Stage -> what reads its settings."""


@pytest.mark.parametrize("name", TRAININGS)
def test_what_a_training_writes_is_what_its_stage_names(name):
    ((file, _),) = named_params(STAGES[name])
    output = TRAININGS[name](ROOT / file).output
    written = {Path(getattr(output, f.name)).relative_to(ROOT).as_posix() for f in fields(output) if f.name != "runs"}
    assert {path for kind in ("outs", "plots") for entry in STAGES[name][kind] for path in entry} == written


def test_the_people_of_a_training_are_what_their_stage_renders():
    ((file, _), (same, _)) = named_params(STAGES["people"])
    folder = load_train_config(ROOT / file).synthetic.folder
    assert (file, file) == (same, next(named_params(STAGES["train"]))[0])
    assert [*STAGES["people"]["outs"][0]] == [Path(folder).relative_to(ROOT).as_posix()]


def test_dvc_finds_no_other_stages_in_the_tree():
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--all", "--name-only"], cwd=ROOT, capture_output=True, text=True
    )
    assert sorted(listed.stdout.split()) == sorted(STAGES), listed.stderr


def test_metrics_are_a_folder_so_that_none_is_missed_before_it_is_computed():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    assert pipeline["metrics"] == ["metrics/summary"]
    assert not [name for name, stage in pipeline["stages"].items() if "metrics" in stage]


@pytest.mark.parametrize("name", STAGES)
def test_a_command_reads_the_settings_that_its_stage_depends_on(name):
    words = STAGES[name]["cmd"].split()
    defaults = {"annotate": "params.yaml", "finetune-renderer": "params.renderer.yaml"}
    read = words[words.index("--params") + 1] if "--params" in words else defaults[words[1]]
    assert {file for file, _ in named_params(STAGES[name])} == {read}


def test_stage_2_goes_on_with_what_the_stages_before_it_made():
    config = load_photometric_config(ROOT / "params.photometric-face.yaml")
    made = {Path(path).relative_to(ROOT).as_posix() for path in (config.regressor_weights, config.renderer)}
    assert made == {path for path in STAGES["photometric"]["deps"] if path.startswith("runs/")}


def test_stage_2_is_compared_with_stage_1_and_its_stage_names_what_is_written():
    stage = STAGES["evaluate"]
    made = [next(iter(STAGES[name]["outs"][0])) for name in ("train", "photometric")]
    assert [word for word in stage["cmd"].split() if word.startswith("runs/")] == made
    assert {path for path in stage["deps"] if path.startswith("runs/")} == set(made)
    assert {path for entry in stage["outs"] for path in entry} == {comparison.METRICS, comparison.HELD_OUT}


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_reads_is_here_or_made_by_another(name):
    made = {key for stage in STAGES.values() for out in stage["outs"] for key in out}
    for path in STAGES[name]["deps"]:
        assert (ROOT / path).exists() or path in made, path


def file_of(module):
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def modules_named(path):
    """Modules of ours that a file imports, anywhere in it, or names in a text, as the registries do."""
    return {*_modules_named(path)}


def _modules_named(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield node.value.partition(":")[0]


def closure(modules):
    """Files that these modules run, themselves among them."""
    found, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        path = (
            file_of(module) if module.partition(".")[0] in PACKAGES and module.replace(".", "").isidentifier() else None
        )
        if path is not None and path not in found:
            found.add(path)
            waiting += modules_named(path)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_code_that_it_runs(name):
    """But for `flows`, which only orders the work."""
    assert file_of(ENTRIES[name]), ENTRIES[name]
    deps = [ROOT / path for path in STAGES[name]["deps"]]
    paths = {
        path for path in closure([ENTRIES[name]]) if path.name != "__init__.py" and ROOT / "flows" not in path.parents
    }
    lacking = [path for path in paths if not any(path == dep or dep in path.parents for dep in deps)]
    assert not lacking, sorted(path.relative_to(ROOT).as_posix() for path in lacking)
