"""`pear finetune-renderer`: one sentence for a mistake, one for the outcome."""

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app

SMALL = {
    "directions": 3,
    "synthetic": {"train": 6, "held_out": 1, "image_px": 64, "crop_shares": [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]},
}


def run(tmp_path, monkeypatch, *words, section="renderer", settings=SMALL):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.renderer.yaml").write_text(yaml.safe_dump({section: settings}))
    return CliRunner().invoke(app, ["finetune-renderer", "--local", *words])


@pytest.mark.long
def test_the_outcome_is_a_sentence_and_the_files_lie_beside_the_settings(tmp_path, monkeypatch):
    answer = run(tmp_path, monkeypatch, "--set", "directions=2")
    assert answer.exit_code == 0, answer.stderr
    assert "renderer.safetensors: held-out people, drawn from another picture of them, PSNR" in answer.stdout
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written >= {"runs/renderer.safetensors", "metrics/renderer.json", "reports/renderer/people.png"}


@pytest.mark.parametrize(
    ("words", "options", "sentence"),
    [
        (["--set", "directions=x"], {}, "directions: expected a whole number, got 'x'"),
        (["--params", "gone.yaml"], {}, "gone.yaml"),
        (["--set", "start=gone.safetensors"], {}, "start: nothing to adapt it to"),
        ([], {"section": "train"}, "renderer"),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path, monkeypatch, words, options, sentence):
    answer = run(tmp_path, monkeypatch, *words, **options)
    assert answer.exit_code == 2
    assert answer.stderr.startswith("pear: ")
    assert sentence in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_kind_guava_is_a_training_of_its_own(tmp_path, monkeypatch):
    given = {
        "kind": "guava",
        "checkpoint": "nowhere.pt",
        "datasets": [{"path": "labels", "images": "photos", "masks": "masks"}],
        "body_model": {"path": "licensed", "fusion": "paper"},
    }
    answer = run(tmp_path, monkeypatch, settings=given)
    assert answer.exit_code == 2
    assert answer.stderr == (
        f"pear: checkpoint: there is no file {tmp_path / 'nowhere.pt'}; correct the path, or make the file first\n"
    )
