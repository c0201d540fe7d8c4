"""Checkpoints on the same held-out people: what is alike differs by nothing, what cannot be compared is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from training_rig import TINY
from typer.testing import CliRunner

from flows import evaluate as flow
from flows.cli.app import app
from model.body.assets import load_open_body
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.config import RegressorConfig
from model.regressor.network import EhmRegressor
from model.weights import checkpoint_sha256
from tasks.training.comparison import METADATA_KEY

PARAMS = "params.train.yaml"


def write(path: Path, seed: int = 0, config: RegressorConfig = TINY, **said: object) -> str:
    """A regressor of random weights."""
    torch.manual_seed(seed)
    body = {"name": "open_body_smplx", "sha256": load_open_body().sha256}
    meta = CheckpointMeta(**{"config": config, "body_model": body, "step": seed, **said})  # pyright: ignore
    path.write_bytes(save_regressor(EhmRegressor(config), meta))
    return path.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings whose held-out people are rendered once, and two regressors, of crops of their own sizes."""
    root = tmp_path_factory.mktemp("comparison")
    settings = {
        "synthetic": {"train": 1000, "validation": 4, "image_px": 64, "crop_shares": [0, 1, 0, 0, 0, 0]},
        "run": {"device": "cpu"},
    }
    (root / PARAMS).write_text(yaml.safe_dump({"train": settings}))
    write(root / "a.safetensors", 1)
    write(root / "b.safetensors", 2, dataclasses.replace(TINY, crop_px=96, side_px=16))
    return root


@pytest.fixture
def pear(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    return lambda *words: CliRunner().invoke(app, ["evaluate", "--local", *words])


def test_the_same_checkpoint_differs_by_nothing_and_another_by_what_its_people_say(pear, folder: Path) -> None:
    answer = pear("a.safetensors", "a.safetensors", "b.safetensors")
    assert answer.exit_code == 0, answer.stderr
    assert "a.safetensors is better than a.safetensors in nothing, worse in nothing; b.safetensors is" in answer.stdout
    assert not list(folder.glob("work/synthetic_people/train-*"))
    first, same, other = json.loads((folder / "metrics/evaluate.json").read_text())["checkpoints"]
    assert first["errors"] == same["errors"]
    assert {(gap["mean"], gap["se"]) for gap in same["differences"].values()} == {(0.0, 0.0)}
    file = pq.read_table(folder / "reports/evaluate/held_out.parquet")
    stated = json.loads(file.schema.metadata[METADATA_KEY])
    assert [each["sha256"] for each in stated] == [checkpoint_sha256(folder / f"{x}.safetensors") for x in "aab"]
    rows = file.to_pandas()
    assert rows["checkpoint"].tolist() == ["a.safetensors"] * 8 + ["b.safetensors"] * 4
    gap = rows["pa_mpjpe_mm"].to_numpy()[8:] - rows["pa_mpjpe_mm"].to_numpy()[:4]
    found = other["differences"]["pa_mpjpe_mm"]
    assert found["people"] == 4
    assert found["mean"] == pytest.approx(gap.mean(), rel=1e-3)
    assert found["se"] == pytest.approx(gap.std(ddof=1) / 2, rel=1e-3)
    summary = json.loads((folder / "metrics/summary/evaluate.json").read_text())
    assert summary["pa_mpjpe_mm"] == other["errors"]["pa_mpjpe_mm"]
    assert summary["pa_mpjpe_mm_change"] == found["mean"]


def test_one_checkpoint_is_told_by_itself(pear) -> None:
    answer = pear("b.safetensors")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.endswith("\n4 held-out people.\n")
    assert "difference" not in answer.stdout


def learnt(folder: Path) -> str:
    """A checkpoint of the people that it is evaluated on."""
    from tasks.training.comparison import load_settings
    from tasks.training.regressor.plan import open_held_out

    config = dataclasses.replace(load_settings(folder / PARAMS)[0], network=TINY)
    (people,) = open_held_out(config)
    return write(folder / "learnt.safetensors", snapshot_hashes=(people.selection.snapshot_hash,))


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (lambda _: "gone.safetensors", (), "checkpoint: there is no file gone.safetensors; correct the path, or"),
        (lambda _: PARAMS, (), "params.train.yaml is no safetensors file or is cut short"),
        (
            lambda root: write(root / "c.safetensors", body_model={"name": "ball", "sha256": "f00"}),
            (),
            "checkpoint c.safetensors speaks of the body model ball (f00, fusion blended), the settings of open_body",
        ),
        (
            lambda root: write(root / "d.safetensors", config=dataclasses.replace(TINY, num_betas=7)),
            (),
            "checkpoint d.safetensors is none beside a.safetensors: num_betas is 7, expected 10; evaluate each",
        ),
        (learnt, (), "checkpoint learnt.safetensors has learnt from the people to evaluate on"),
        (lambda _: "b.safetensors", ("--set", "synthetic.validation=0"), "validation: nobody is held out; name a"),
        (lambda _: "b.safetensors", ("--params", "gone.yaml"), "settings file gone.yaml does not exist"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(make, options, sentence, pear, folder: Path) -> None:
    answer = pear("a.safetensors", make(folder), *options)
    assert answer.exit_code == 2
    (said,) = [line for line in answer.stderr.splitlines() if line.startswith("pear: ")]
    assert sentence in said
    assert answer.stderr.endswith(said + "\n")


def test_a_mistake_is_the_message_of_a_failed_run(folder: Path) -> None:
    state = flow.evaluate.fn(["a.safetensors"], params=str(folder / "gone.yaml"))
    assert state.is_failed()
    assert state.message == f"settings file {folder / 'gone.yaml'} does not exist; give its path with --params"
