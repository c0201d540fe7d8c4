"""``pear predict`` as it is typed: what cannot be done ends in one sentence, what can in a line that says how much."""

import numpy as np
import pandas as pd
import pytest
import torch
from known_people import TINY
from typer.testing import CliRunner
from video_files import write_clip

from flows.cli.app import app
from model.body.assets import load_open_body
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.network import EhmRegressor
from model.renderer.overlay import encode_png
from tasks.predict.progress import PredictProgress


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photo, a text and a checkpoint of random weights."""
    root = tmp_path_factory.mktemp("command")
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    (root / "photo.png").write_bytes(encode_png(rgb))
    (root / "text.safetensors").write_text("no network")
    torch.manual_seed(0)
    body = {"name": "open_body_smplx", "sha256": load_open_body().sha256}
    (root / "net.safetensors").write_bytes(
        save_regressor(EhmRegressor(TINY), CheckpointMeta(config=TINY, body_model=body))
    )
    return root


@pytest.fixture
def pear(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return lambda *words: CliRunner().invoke(app, ["predict", *words])


def test_one_photo_as_one_person(pear, tmp_path):
    words = ("--boxes", "whole", "--rotations-only", "--device", "cpu")
    answer = pear("photo.png", "--checkpoint", "net.safetensors", "--out", str(tmp_path), *words)
    assert answer.exit_code == 0, answer.output
    assert "photos and frames: 1, people: 1, rows without a prediction: 0," in answer.stdout
    assert len(pd.read_parquet(tmp_path / "people")) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone.png", "--checkpoint", "net.safetensors"], "input 'gone.png' does not exist"),
        (["photo.png", "--checkpoint", "gone.safetensors"], "gone.safetensors is not a file"),
        (["photo.png", "--checkpoint", "text.safetensors"], "text.safetensors is no safetensors file"),
        (["photo.png", "--checkpoint", "net.safetensors", "--boxes", "faces"], "expected one of keypoints, whole"),
        (["photo.png", "--checkpoint", "net.safetensors", "--every", "0"], "every: expected more than 0, got 0"),
        (["photo.png", "--checkpoint", "net.safetensors", "--meshes", "stl"], "expected one of gltf, obj, got 'stl'"),
        (["photo.png", "--checkpoint", "net.safetensors", "--backend", "nobody"], "no keypoints estimator is called"),
        (
            ["photo.png", "--checkpoint", "net.safetensors", "--device", "warp"],
            "run.device: expected one of auto, cpu, cuda, got 'warp'",
        ),
        (["photo.png", "--checkpoint", "net.safetensors", "--precision", "fp8"], "expected one of fp32, tf32, bf16"),
        (
            ["photo.png", "--checkpoint", "net.safetensors", "--mode", "graph", "--device", "cpu"],
            "needs tensors on a CUDA",
        ),
        (["photo.png", "--checkpoint", "net.safetensors", "--option", "x"], "--option 'x': expected <name>=<value>"),
        (["photo.png", "--checkpoint", "net.safetensors", "--body-model", "none"], "none"),
        (["photo.png", "--checkpoint", "net.safetensors", "--rotations-only", "--overlays"], "no mesh is computed"),
        (["photo.png", "--checkpoint", "net.safetensors", "--rotations-only", "--render"], "no mesh is computed"),
        (
            ["photo.png", "--checkpoint", "net.safetensors", "--motion", "gone.npz", "--set", "avatar.size_px=65"],
            "avatar.size_px: ",
        ),
        (
            ["photo.png", "--checkpoint", "net.safetensors", "--render", "--set", "avatar.views=0"],
            "avatar.views: expected 1 or more, or a motion",
        ),
        (
            ["photo.png", "--checkpoint", "net.safetensors", "--motion", "gone.npz"],
            "renderer.safetensors; `pear finetune-renderer` makes a renderer of people",
        ),
    ],
)
def test_a_mistake_is_one_sentence(pear, tmp_path, words, sentence):
    boxes = [] if {"--boxes", "--backend"} & set(words) else ["--boxes", "whole"]
    answer = pear(*words, *boxes, "--out", str(tmp_path / "out"))
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.startswith("pear: ")
    assert answer.stderr.count("\n") == 1
    assert sentence in answer.stderr
    assert not (tmp_path / "out").exists()


def test_nobody_in_the_end_is_no_success(pear, folder, tmp_path, caplog):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    words = ("--boxes", "whole", "--rotations-only", "--out", str(tmp_path))
    answer = pear("broken.jpg", "--checkpoint", "net.safetensors", *words)
    assert answer.exit_code == 1
    assert "photos and frames: 0 and 1 that cannot be read, people: 0, rows without a prediction: 1," in answer.stdout
    (said,) = [record.message for record in caplog.records if "cannot be read" in record.message]
    assert said.startswith("broken.jpg cannot be read: ")


def test_what_cannot_be_smoothed_is_said(pear, folder, tmp_path, caplog):
    write_clip(folder / "short.mp4", 3)
    for given, sentence in (("photo.png", "there is no video"), ("short.mp4", "nobody is in four frames within 0.4 s")):
        words = ("--boxes", "whole", "--rotations-only", "--smooth", "--out", str(tmp_path / given))
        assert pear(given, "--checkpoint", "net.safetensors", *words).exit_code == 0
        (said,) = [record.message for record in caplog.records if "smoothed" in record.message]
        assert sentence in said
        caplog.clear()


def test_progress_says_how_long_it_will_take():
    class Shown:
        def show(self, *told):
            self.told = told

    progress, shown = PredictProgress(frames_expected=200, frames=50, people=70), Shown()
    progress.started_s -= 10
    progress.show(shown)
    assert shown.told == ("photos and frames", 50, 200, "70 people, 5.0/s", pytest.approx(30, abs=1))


def test_a_folder_that_cannot_be_looked_into_fails_the_run_that_did_the_rest(pear, folder, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/photo.png").write_bytes((folder / "photo.png").read_bytes())
    (tmp_path / "in/bad.tar").write_bytes(b"no tar file")
    words = ("--boxes", "whole", "--rotations-only", "--device", "cpu", "--checkpoint", "net.safetensors")
    answer = pear(str(tmp_path / "in"), *words, "--out", str(tmp_path / "out"))
    assert answer.exit_code == 1, answer.output
    assert "1 folders or tar files cannot be looked into" in answer.stderr
    rows = pd.read_parquet(tmp_path / "out/people")
    assert rows["error_code"].dropna().tolist() == ["listing_incomplete"]
    assert len(rows) == 2
