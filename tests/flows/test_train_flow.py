"""A whole training by its real processes: killed and gone on with, refused, spread over two, cancelled."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from training_rig import TINY, Killed

from datasets_manifest.shards.label_sets import LabelSet
from flows.run.torchrun import TrainingFailed, run_processes, training_command
from flows.run.training import run_training
from model.tensor_file import unpack
from tasks.training.engine import worker
from tasks.training.engine.curves import Curve, Row, read_rows
from tasks.training.regressor.experiment import open_experiment
from tasks.training.regressor.plan import TrainingPlan, open_plan
from tasks.training.regressor.request import MODULE, prepare, write_request
from tasks.training.regressor.settings import TrainConfig, load_train_config

SUPPORT = Path(__file__).parents[1] / "support"
LOG = logging.getLogger("test")
SETTINGS = {
    "synthetic": {"train": 6, "validation": 2, "image_px": 96, "folder": "people"},
    "network": TINY.to_dict(),
    "optimiser": {"lr": 1e-3},
    "steps": 12,
    "run": {"batch_size": 2, "device": "cpu", "loader_workers": 0, "threads": 1},
    "every": {"log": 1, "checkpoint": 2, "evaluate": 100, "pictures": 100},
}


pytestmark = pytest.mark.usefixtures("torch_as_before", "plain_curves")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings file beside people who are rendered once."""
    root = tmp_path_factory.mktemp("training")
    (root / "params.train.yaml").write_text(yaml.safe_dump({"train": SETTINGS}))
    return root


def settings_of(folder: Path, name: str, **overrides: object) -> TrainConfig:
    config = load_train_config(folder / "params.train.yaml", overrides)
    output = {f.name: str(folder / name / f.name) for f in dataclasses.fields(config.output)}
    return dataclasses.replace(config, output=dataclasses.replace(config.output, **output))


def start(plan: TrainingPlan) -> subprocess.Popen[str]:
    write_request(plan)
    return subprocess.Popen(
        training_command(MODULE, plan.folder.request, plan.config.run.processes),
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_row(plan: TrainingPlan, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not plan.folder.curve.is_file() or plan.folder.curve.read_text().count("\n") < step:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


def kill(plan: TrainingPlan) -> None:
    """A process that is killed after its third row."""
    process = subprocess.run(
        [sys.executable, "-m", "killed_training", MODULE, "3", str(plan.folder.request)],
        env={**os.environ, "PYTHONPATH": str(SUPPORT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == -signal.SIGKILL, process.stderr


def break_off(plan: TrainingPlan) -> None:
    """A training in this process that ends after its third row."""

    def broken(curve: Curve, row: Row, append: Callable[..., None] = Curve.append) -> None:
        append(curve, row)
        if len(curve.rows) == 3:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Curve, "append", broken)
        with pytest.raises(Killed):
            worker.run(plan.folder.request, open_experiment)


# Real kills are also among the tests of the engine, whose experiment needs a second.
@pytest.mark.long
@pytest.mark.parametrize("end", [break_off, pytest.param(kill, marks=pytest.mark.slow)])
def test_ended_at_any_step_and_gone_on_with_gives_the_same_losses(
    folder: Path, end: Callable[[TrainingPlan], None]
) -> None:
    straight = open_plan(settings_of(folder, "straight"))
    write_request(straight)
    worker.run(straight.folder.request, open_experiment)
    plan = open_plan(settings_of(folder, "killed"))
    shutil.rmtree(plan.folder.root, ignore_errors=True)
    write_request(plan)
    end(plan)
    assert len(read_rows(plan.folder.curve)) == 3
    assert not plan.folder.summary.exists()
    result = run_training(lambda: prepare(settings_of(folder, "killed")), LOG)
    assert read_rows(plan.folder.curve) == read_rows(straight.folder.curve)
    weights = [unpack(run.folder.final.read_bytes(), "final")[0] for run in (plan, straight)]
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())
    assert result.metrics["people"] == 2
    assert not plan.folder.selection.exists()
    before = plan.folder.final.stat().st_mtime_ns
    run_training(lambda: prepare(settings_of(folder, "killed")), LOG)  # it has finished: nothing is trained again
    assert plan.folder.final.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"^steps: the run in .* has been trained for 12 steps, 8 cannot be had from"):
        run_training(lambda: prepare(settings_of(folder, "killed", steps=8)), LOG)
    assert plan.folder.final.stat().st_mtime_ns == before


def test_labels_are_read_once_however_many_processes_use_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = pq.ParquetFile

    def count(source: Any, *args: Any, **options: Any) -> Any:
        opened.append(str(source))
        return real(source, *args, **options)

    monkeypatch.setattr(pq, "ParquetFile", count)
    config = settings_of(folder, "once")
    run = prepare(config)
    assert len({path for path in opened if path.endswith("truth.parquet")}) == 2
    opened.clear()
    experiment = [open_experiment(run.folder.request) for _ in range(3)][-1]
    assert not opened
    plan = open_plan(config)
    assert experiment.run_hash == plan.run_hash
    assert experiment.folder == plan.folder
    for found, known in zip(experiment.plan.training, plan.training, strict=True):
        assert found.selection.table.equals(known.selection.table)
        assert (found.images.root, found.weight) == (known.images.root, known.weight)
    left = run.folder.root / f".selection.arrow.{2**22 + 1}.{'0' * 16}.partial"  # by a process that was killed
    left.write_bytes(b"half")
    prepare(config)
    assert not left.exists()


def test_a_vanished_photo_stops_before_anything_starts(folder: Path, tmp_path: Path) -> None:
    config = settings_of(folder, "vanished")
    plan = open_plan(config)
    photo = plan.training[0].images.root / plan.training[0].selection.table["image"][0].as_py()
    moved = photo.rename(tmp_path / photo.name)
    no_people = dataclasses.replace(config.synthetic, train=0, validation=0)
    try:
        with pytest.raises(ValueError, match=r"1 of \d photos .* are not in"):
            open_plan(dataclasses.replace(config, synthetic=no_people, datasets=(_labels_of(plan),)))
    finally:
        moved.rename(photo)


def test_a_split_that_nobody_has_stops_before_anything_starts(folder: Path) -> None:
    config = settings_of(folder, "splits", **{"filter.splits": ["train", "val", "trian"]})
    with pytest.raises(ValueError, match=r"No label set has the split trian .*present are train, val"):
        open_plan(config)


def test_people_who_are_learnt_from_are_not_evaluated_on(folder: Path) -> None:
    config = settings_of(folder, "leak")
    with pytest.raises(ValueError, match="are also among those to learn from"):
        open_plan(dataclasses.replace(config, validation=(_labels_of(open_plan(config)),)))


def test_another_validation_set_is_another_run(folder: Path) -> None:
    """Else its figures would be those of the people before."""
    config = settings_of(folder, "validation")
    rendered = open_plan(config)
    labels = [
        LabelSet(path=str(p.selection.path), images=str(p.images.root))
        for p in (*rendered.training, *rendered.validation)
    ]
    nobody = dataclasses.replace(config.synthetic, train=0, validation=0)
    plans = [
        open_plan(dataclasses.replace(config, synthetic=nobody, datasets=(labels[0],), validation=validation))
        for validation in ((), (labels[1],))
    ]
    assert plans[0].run_hash != plans[1].run_hash


def _labels_of(plan: TrainingPlan):
    people = plan.training[0]
    return LabelSet(path=str(people.selection.path), images=str(people.images.root))


@pytest.mark.slow
def test_a_workers_sentence_becomes_the_callers(folder: Path) -> None:
    plan = open_plan(settings_of(folder, "refused"))
    write_request(plan)
    request = json.loads(plan.folder.request.read_text())
    request["settings"]["steps"] = -1
    plan.folder.request.write_text(json.dumps(request))
    with pytest.raises(ValueError, match="steps: expected more than 0, got -1"):
        run_processes(MODULE, plan.folder, 1, LOG)


@pytest.mark.slow
def test_two_processes_by_torchrun_finish_and_are_killed_as_one(folder: Path) -> None:
    config = settings_of(
        folder, "two", **{"run.processes": 2, "run.batch_size": 1, "steps": 400, "every.checkpoint": 50}
    )
    plan = open_plan(config)
    process = start(plan)
    wait_for_row(plan, 2, process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()  # torchrun itself, which then can end nobody
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    result = run_training(lambda: prepare(dataclasses.replace(config, steps=20)), LOG)
    assert result.metrics["step"] == 20


@pytest.mark.slow
def test_a_process_that_dies_is_told_with_its_last_lines(folder: Path) -> None:
    plan = open_plan(settings_of(folder, "dies", steps=2000))
    write_request(plan)

    def kill(step: int, _total: int) -> None:
        if step == 2:
            (training,) = (one for one in psutil.Process().children() if MODULE in " ".join(one.cmdline()))
            training.kill()

    with pytest.raises(TrainingFailed, match="signal 9"):
        run_processes(MODULE, plan.folder, 1, LOG, kill)


@pytest.mark.slow
def test_the_flow_shows_its_result_and_ends_its_processes_when_it_is_terminated(folder: Path, api: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.train import train_regressor

    params = str(folder / "params.train.yaml")
    with temporary_settings({PREFECT_API_URL: api}):
        state = train_regressor(params=params, overrides={"steps": 4}, return_state=True)
    assert state.is_completed(), state.message
    assert "what the mean pose gives: PA-MPJPE of the body " in state.message
    code = "import sys; from flows.train import train_regressor as t; t(params=sys.argv[1], overrides={'steps': 5000})"
    env = {**os.environ, "PREFECT_API_URL": api, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, params], env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    workers: list[psutil.Process] = []
    while not workers and time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in children if MODULE in " ".join(child.cmdline())]
        time.sleep(0.1)
    assert workers
    process.terminate()
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.mark.slow
def test_the_flow_of_the_renderer_shows_its_figures_and_ends_a_mistake_in_a_sentence(tmp_path: Path, api: str) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.renderer import finetune

    people = {"train": 6, "held_out": 1, "image_px": 64}
    params = tmp_path / "params.renderer.yaml"
    params.write_text(yaml.safe_dump({"renderer": {"directions": 2, "synthetic": people}}))
    with temporary_settings({PREFECT_API_URL: api}):
        state = finetune(params=str(params), return_state=True)
        refused = finetune(params=str(params), overrides={"directions": 6}, return_state=True)
    assert state.is_completed(), state.message
    assert "drawn from another picture of them, PSNR" in state.message
    assert (tmp_path / "runs/renderer.safetensors").is_file()
    assert refused.is_failed()
    assert "directions: 6 cannot be learnt from synthetic.train = 6 people" in refused.message
