"""Stage 2 as a whole, on a tiny network: refused, trained, gone on with, and what its checkpoint says of itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from open_renderers import open_renderer
from training_rig import TINY

from model.body.assets import load_open_body
from model.regressor.checkpoint import CheckpointMeta, load_regressor, save_regressor
from model.regressor.network import EhmRegressor
from model.renderer.texture.file import RendererMeta, save_renderer
from model.tensor_file import unpack
from model.weights import checkpoint_sha256
from tasks.training.comparison import compare
from tasks.training.engine import worker
from tasks.training.engine.checkpoints import list_states
from tasks.training.engine.curves import read_rows
from tasks.training.photometric.experiment import open_experiment
from tasks.training.photometric.request import prepare
from tasks.training.photometric.settings import PhotometricTrainConfig, load_photometric_config

SETTINGS = {
    "synthetic": {
        **{"train": 12, "validation": 12, "image_px": 96, "folder": "people"},
        "crop_shares": [0, 0, 0, 0, 0, 1],
    },
    "regressor_weights": "stage1.safetensors",
    "renderer": "renderer.safetensors",
    "parts": ["head"],
    "picture_px": 64,
    "min_part_px": 16,
    "photometric": {"reach": 10.0},
    "max_start": 10.0,
    "balance_every": 2,
    "network": TINY.to_dict(),
    "optimiser": {"lr": 1e-3},
    "steps": 4,
    "run": {"batch_size": 3, "device": "cpu", "loader_workers": 0, "threads": 1},
    "every": {"log": 1, "checkpoint": 2, "evaluate": 4, "pictures": 4},
}
"""A random network is nowhere near; everybody is drawn all the same. Pictures want finer photos than crops do."""


pytestmark = [pytest.mark.long, pytest.mark.usefixtures("torch_as_before", "plain_curves")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings beside a regressor of random weights and a renderer."""
    root = tmp_path_factory.mktemp("stage2")
    body = {"name": "open_body_smplx", "sha256": load_open_body().sha256}
    torch.manual_seed(0)
    stage1 = CheckpointMeta(config=TINY, body_model=body, step=7, snapshot_hashes=("labels",))
    (root / "stage1.safetensors").write_bytes(save_regressor(EhmRegressor(TINY), stage1))
    (root / "renderer.safetensors").write_bytes(save_renderer(open_renderer(), RendererMeta(body_model=body)))
    (root / "params.photometric.yaml").write_text(yaml.safe_dump({"train_photometric": SETTINGS}))
    return root


def settings_of(folder: Path, **overrides: object) -> PhotometricTrainConfig:
    return load_photometric_config(folder / "params.photometric.yaml", overrides)


def test_a_regressor_that_is_not_aligned_is_refused_before_anything_is_trained(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"regressor_weights: stage 2 begins where parts are within 3.0% .*, the head "
    ):
        prepare(settings_of(folder, max_start=0.03))
    assert not (folder / "runs/train_photometric").exists()


def test_nobody_held_out_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="validation: stage 2 looks at held-out people before its first step"):
        prepare(settings_of(folder, **{"synthetic.validation": 0}))


def test_a_renderer_of_another_body_is_refused(folder: Path, tmp_path: Path) -> None:
    from texture_renderers import ball_renderer

    other = tmp_path / "ball.safetensors"
    other.write_bytes(save_renderer(ball_renderer(), RendererMeta(body_model={"name": "ball"})))
    with pytest.raises(ValueError, match="was learnt on the mesh of ball, the body to draw has another"):
        prepare(settings_of(folder, renderer=str(other)))


def test_it_trains_goes_on_with_the_same_numbers_and_says_what_it_came_from(folder: Path) -> None:
    config = settings_of(folder)
    run = prepare(config)
    (start,) = [line for line in run.lines if "before the first step the head is" in line]
    worker.run(run.folder.request, open_experiment)
    curve, final = read_rows(run.folder.curve), unpack(run.folder.final.read_bytes(), "final")[0]
    assert [row["drawn_head"] for row in curve] == [1.0] * 4
    assert [row["weight_jaw"] > 0 for row in curve] == [True] * 4
    assert all(row["photo_head"] > 0 for row in curve)
    result = run.publish()
    assert result.overlays is not None
    before, after = held_out = read_rows(run.folder.evaluations)
    assert (before["step"], after["step"]) == (0, 4)
    assert f"the head is {before['head_off']:.1%} of its square off" in start
    assert after["head_off"] != before["head_off"]
    assert f"off its place, of its square, {after['head_off']:.1%} ({before['head_off']:.1%})" in result.sentence
    summary = json.loads((folder / "metrics/summary/train_photometric.json").read_text())
    assert summary["head_off"] == result.metrics["head_off"] == after["head_off"]
    assert "head_off" in Path(config.output.evaluations).read_text()
    assert "weight_head_scale" in Path(config.output.curve).read_text()
    network, meta = load_regressor(result.checkpoint.read_bytes(), source="final")
    start, _ = load_regressor((folder / "stage1.safetensors").read_bytes(), source="start")
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, start.state_dict()[name])}
    assert {"flame_head.jaw_pose.linear.weight", "backbone.pos_embed"} <= moved
    assert meta.training["came_from"] == {
        "regressor": {"sha256": checkpoint_sha256(folder / "stage1.safetensors"), "step": 7, "labels": ["labels"]},
        "renderer": {"sha256": checkpoint_sha256(folder / "renderer.safetensors")},
        "perceptual": {"name": "ms-ssim", "kind": "ms-ssim", "batch": "mean"},
    }
    # Evaluated by themselves, both are what the training has measured of them.
    names = [folder / "stage1.safetensors", result.checkpoint]
    compare(names, config, folder)
    found = json.loads((folder / "metrics/evaluate.json").read_text())["checkpoints"]
    for row, own in zip(held_out, found, strict=True):
        assert own["errors"] == {name: value for name, value in row.items() if name != "step" and value is not None}
    gap = found[1]["differences"]["head_pa_mm"]
    assert gap["mean"] == pytest.approx(after["head_pa_mm"] - before["head_pa_mm"], abs=2e-4)
    assert gap["se"] > 0
    # As if it had been stopped after the second step.
    states = dict(list_states(run.folder.checkpoints))
    assert not any("texture" in name for name in unpack(states[4].read_bytes(), "state")[0])
    for path in (states[4], run.folder.summary, run.folder.final):
        path.unlink()
    again = prepare(config)
    assert not any("before the first step" in line for line in again.lines)
    worker.run(again.folder.request, open_experiment)
    assert read_rows(again.folder.curve) == curve
    assert read_rows(again.folder.evaluations) == held_out
    repeated = unpack(again.folder.final.read_bytes(), "final")[0]
    assert all(torch.equal(repeated[name], value) for name, value in final.items())


@pytest.mark.slow
def test_the_command_is_killed_and_goes_on_in_two_processes(folder: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(folder, project, ignore=shutil.ignore_patterns("runs", "reports", "metrics"))
    command = [sys.executable, "-m", "flows.cli.app", "train-photometric", "--local"]
    stated = {"run.processes": 2, "run.batch_size": 2, "steps": 40, "every.checkpoint": 5, "every.evaluate": 40}
    command += [word for name, value in stated.items() for word in ("--set", f"{name}={value}")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (curves := list(project.glob("runs/*/*/curve.jsonl"))) or curves[0].read_text().count("\n") < 7:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on after step 5" in done.stdout + done.stderr
    assert "40 steps" in done.stdout
    rows = read_rows(next(project.glob("runs/*/*/curve.jsonl")))
    assert [row["step"] for row in rows] == list(range(1, 41))
