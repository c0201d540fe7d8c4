"""What is typed for a setting: a text stays what it is, letter by letter, and anything else is the value it spells."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.command_line import parse_settings, typed_settings
from tasks.annotate.settings import load_config
from tasks.predict.settings import load_predict_config

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [
    "007",
    "on",
    "20_000",
    "a: b",
    "[1]",
    "{x}",
    "*x",
    "@home",
    "%d",
    "/x/set #1",
    "null island",
    "1e3",
    "- x",
    "!!x",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["output.labels", "roots.mine", "roots.my.own", "body_model.path"])
def test_a_path_is_what_was_typed(name, text):
    assert parse_settings([f"{name}={text}"], ROOT / "params.yaml") == {name: text}
    assert parse_settings([f"{name}='{text}'"], ROOT / "params.yaml") == {name: text}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("run.workers=4", 4),
        ("run.photo_cache_mb=1e2", 100.0),
        ("run.device=cpu", "cpu"),
        ("body_model.path=null", None),
        ("datasets=[coco, my.yaml]", ["coco", "my.yaml"]),
        ("roots={coco: /x}", {"coco": "/x"}),
        ("refine.nonsense=3", 3),
    ],
)
def test_what_is_no_text_is_yaml(pair, value):
    assert parse_settings([pair], ROOT / "params.yaml") == {pair.partition("=")[0]: value}


def test_the_backend_says_of_which_type_its_options_are():
    texts = {"keypoints.backend": "dwpose", "keypoints.options.pose_path": "007", "keypoints.options.batch_size": "7"}
    typed = typed_settings(texts, None, "predict")
    assert list(typed.values()) == ["dwpose", "007", 7]
    seed = {"hands.backend": "simulated", "hands.options.seed": "7"}
    assert typed_settings(seed, ROOT / "params.yaml")["hands.options.seed"] == 7


def test_the_section_of_the_file_says_whose_settings_they_are(tmp_path):
    typed = parse_settings(["steps=7", "mean=007", "output.runs=on"], ROOT / "params.train.yaml")
    assert list(typed.values()) == [7, "007", "on"]


@pytest.mark.parametrize(
    ("file", "texts"),
    [
        ("params.photometric.yaml", {"renderer": "007", "regressor_weights": "on", "output.runs": "[1]"}),
        ("params.guava.yaml", {"same_person": "[^/]+", "checkpoint": "20_000"}),
        ("params.renderer.yaml", {"kind": "guava", "same_person": "[^/]+"}),
        ("params.renderer.yaml", {"start": "007"}),
    ],
)
def test_texts_of_every_training_are_what_was_typed(file, texts):
    assert typed_settings(texts, ROOT / file) == texts


@pytest.mark.parametrize("name", ["set #1", "007", "on", "20_000", "a: b", "[1]", "*x"])
def test_the_root_that_was_typed_is_annotated(tmp_path, monkeypatch, name):
    for folder in (name, "set", "7", "20000"):
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [my_photos]}\n")
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["annotate", "--local", "--root", f"my_photos={name}", "--set", "run.retries=0"])
    assert answer.exit_code == 2
    assert f"/{name} (0 photos" in answer.stderr


def test_a_pair_without_a_name_is_refused_with_an_example_of_its_option():
    for option, example in (("--root", "my_photos=photos"), ("--set", "run.workers=4")):
        answer = CliRunner().invoke(app, ["annotate", option, "photos"])
        assert (answer.exit_code, answer.stderr) == (
            2,
            f"pear: {option} 'photos': expected <name>=<value>, for example {example}\n",
        )


def test_a_root_whose_data_set_the_run_does_not_have_is_refused(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [my_photos]}\n")
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["annotate", "--local", "--root", "my_fotos=."])
    assert (answer.exit_code, answer.stderr) == (
        2,
        "pear: --root my_fotos: this run has no data set of that id; it has my_photos\n",
    )


def test_the_home_folder_is_meant_wherever_a_path_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "p.yaml").write_text(
        "annotate: {output: {labels: ~/lab}, body_model: {path: ~/body},"
        " keypoints: {backend: dwpose, options: {pose_path: ~/pose.onnx}}}\n"
    )
    config = load_config("~/p.yaml", parse_settings(["output.work=~/w"], Path("~/p.yaml")))
    paths = (config.output.labels, config.output.work, config.body_model.path, config.keypoints.options["pose_path"])
    assert paths == tuple(str(tmp_path / name) for name in ("lab", "w", "body", "pose.onnx"))
    predict = load_predict_config(None, {"checkpoint": "~/net", "out": "~/out", "body_model.path": "~/body"})
    assert (predict.checkpoint, predict.out, predict.body_model.path) == tuple(
        str(tmp_path / name) for name in ("net", "out", "body")
    )


@pytest.mark.parametrize(
    "words",
    [
        ["annotate", "--local", "--root", "my_photos=~nobody_has_this_name/x"],
        ["annotate", "--local", "~nobody_has_this_name/x.yaml"],
        ["status", "--set", "output.labels=~nobody_has_this_name/x"],
        ["status", "--params", "~nobody_has_this_name/x"],
        ["predict", "x", "--checkpoint", "~nobody_has_this_name/x"],
        ["train", "--local", "--params", str(ROOT / "params.train.yaml"), "--set", "mean=~nobody_has_this_name/x"],
    ],
)
def test_an_unknown_home_folder_is_one_sentence(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [my_photos]}\n")
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 2, answer.output
    assert "begins with a home folder that is not known" in answer.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["annotate", "--local", "--root", "my_photos="],
        ["annotate", "--local", ""],
        ["annotate", "--local", "--set", "output.labels="],
        ["predict", "", "--checkpoint", "x"],
    ],
)
def test_a_path_that_is_empty_is_not_the_working_folder(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [my_photos]}\n")
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 2, answer.output
    assert "A path is empty; name a file or folder" in answer.stderr


@pytest.mark.parametrize("roots", ["7", "true", "[x]", "null", "''"])
def test_a_root_in_a_file_that_is_no_text_is_refused(tmp_path, roots):
    path = tmp_path / "params.yaml"
    path.write_text(f"annotate: {{roots: {{mine: {roots}}}}}\n")
    with pytest.raises(ValueError, match=r"roots\.mine: expected a text"):
        load_config(path)
