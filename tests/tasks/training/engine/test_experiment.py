"""The engine trains what it knows nothing of: a linear regression, by its real processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from linear_experiment import TRUTH, LinearExperiment, linear_config, open_experiment, write_request
from training_rig import alone

from model.tensor_file import unpack
from tasks.training.engine import worker
from tasks.training.engine.checkpoints import is_finished
from tasks.training.engine.config import EngineConfig, ProcessConfig
from tasks.training.engine.curves import read_rows
from tasks.training.engine.loop import Trainer

SUPPORT = Path(__file__).parents[3] / "support"


pytestmark = pytest.mark.usefixtures("torch_as_before")


def start(request: Path, *, launcher: str = "", processes: str = "", killed_after: str = "") -> subprocess.Popen[str]:
    """The process of a request, the launcher of several, or one that is killed after some rows of its curve."""
    env = {**os.environ, "PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}", "OMP_NUM_THREADS": "1"}
    killed = ["killed_training", "linear_experiment", killed_after, str(request)]
    words = killed if killed_after else [launcher, "linear_experiment", str(request), processes]
    command = [sys.executable, "-m", *filter(None, words)]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_it_learns_evaluates_and_gives_out_the_average(tmp_path: Path) -> None:
    experiment = LinearExperiment(linear_config(), tmp_path)
    worker.run(write_request(experiment), open_experiment)
    rows, held_out = read_rows(experiment.folder.curve), read_rows(experiment.folder.evaluations)
    assert rows[-1]["squares"] == rows[-1]["loss"]
    assert [row["step"] for row in held_out] == [50, 100, 150, 200]
    assert held_out[-1]["points"] == 100
    assert held_out[-1]["error"] < 0.5 * held_out[0]["error"]
    errors = pd.read_parquet(experiment.folder.held_out)
    assert errors.error.mean() == pytest.approx(held_out[-1]["error"])
    weights, told = unpack(experiment.folder.final.read_bytes(), "line")
    assert experiment.folder.final.name == "line.safetensors"
    assert told["metrics"]["error"] == held_out[-1]["error"]
    assert float((weights["line.weight"][0] - TRUTH).abs().max()) < 1.0
    assert is_finished(experiment.folder, 200)
    with pytest.raises(ValueError, match=r"^steps: the run in .* has been trained for 200 steps, 100 cannot be had"):
        is_finished(experiment.folder, 100)


@pytest.mark.long
def test_killed_and_gone_on_with_it_gives_the_same_numbers(tmp_path: Path) -> None:
    config = linear_config(steps=100)
    straight, killed = (LinearExperiment(config, tmp_path / name) for name in ("straight", "killed"))
    worker.run(write_request(straight), open_experiment)
    process = start(write_request(killed), killed_after="37")
    _, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, said
    assert len(read_rows(killed.folder.curve)) == 37
    assert not killed.folder.summary.exists()
    worker.run(killed.folder.request, open_experiment)
    for name in ("curve", "evaluations", "final", "held_out"):
        assert getattr(killed.folder, name).read_bytes() == getattr(straight.folder, name).read_bytes(), name


def test_weights_of_an_earlier_training_are_evaluated_before_the_first_step_and_told_once(tmp_path: Path) -> None:
    experiment = LinearExperiment(linear_config(steps=50), tmp_path)
    experiment.begins_trained = True
    experiment.folder.root.mkdir()
    experiment.folder.evaluations.write_text('{"step": 0, "error": 9.0}\n')  # killed before it had a state
    line = experiment.objective().line
    points = experiment.validation.collate(range(100))
    Trainer.start(experiment, alone()).run()
    first, last = read_rows(experiment.folder.evaluations)
    assert (first["step"], last["step"]) == (0, 50)
    error = (line(points.inputs)[:, 0] - points.targets).detach().abs().mean()
    assert first["error"] == pytest.approx(float(error), rel=1e-5)
    assert last["error"] < first["error"]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    """But for what each drops by itself: their losses differ, what they learn does not."""
    config = linear_config(steps=300)
    two = dataclasses.replace(config, run=dataclasses.replace(config.run, processes=2, batch_size=4))
    assert two.deciding() == config.deciding()
    experiment = LinearExperiment(two, tmp_path)
    process = start(write_request(experiment), launcher="tasks.training.engine.launcher", processes="2")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert read_rows(experiment.folder.evaluations)[-1]["points"] == 100
    assert read_rows(experiment.folder.evaluations)[-1]["error"] < 0.5


@pytest.mark.long
def test_a_sentence_ends_in_the_folder_of_the_run(tmp_path: Path) -> None:
    experiment = LinearExperiment(linear_config(), tmp_path)
    request = write_request(experiment)
    request.write_text(request.read_text().replace('"steps": 200', '"steps": 0'))
    process = start(request)
    _, said = process.communicate(timeout=60)
    assert process.returncode == worker.MENDABLE
    assert said == "training: run.json: steps: expected more than 0, got 0\n"
    assert experiment.folder.failure.read_text() == "run.json: steps: expected more than 0, got 0\n"


def test_how_the_work_is_spread_decides_nothing() -> None:
    one = EngineConfig(run=ProcessConfig(processes=1, batch_size=8))
    two = EngineConfig(run=ProcessConfig(processes=4, batch_size=2, loader_workers=7), steps=3)
    assert one.deciding() == two.deciding()
    assert one.deciding() != dataclasses.replace(one, seed=1).deciding()
