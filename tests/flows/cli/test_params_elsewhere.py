"""A project is used from any folder by ``--params``: what its files say is relative to it, what is typed is not."""

import json
import re
import shutil

import pytest
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from flows.cli.app import app
from tasks.predict.settings import load_predict_config
from tasks.training.regressor.settings import load_train_config


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, answer.output


@pytest.fixture(scope="module")
def new_project(tmp_path_factory):
    """A project as ``pear init`` makes it; nothing in it says where it lies."""
    folder = tmp_path_factory.mktemp("new") / "my project"
    assert pear("init", folder)[0] == 0
    return folder


@pytest.fixture
def project(new_project, tmp_path, monkeypatch):
    """A new project with other estimators; the working folder is another."""
    folder, elsewhere = tmp_path / "my project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shutil.copytree(new_project, folder)
    write_stub_params(folder)
    with (folder / "params.yaml").open("a") as file:
        file.write("  datasets: [photos.yaml]\n")
    write_photos(folder / "photos", ["1.png", "2.png", "3.png"])
    return folder


@pytest.mark.long
def test_every_command_works_and_writes_beside_the_settings(project, tmp_path):
    params = ("--params", project / "params.yaml")
    name = "my_project/all"
    assert f"{name}: 3 photos" in pear("annotate", "--dry-run", *params)[1]
    assert pear("annotate", *params)[0] == 0
    record = json.loads((project / "work/plan" / name / "source.json").read_text())
    assert (record["manifest"], record["root"]) == (str(project / "photos.yaml"), str(project / "photos"))
    assert "2 of 2 shards labelled" in pear("status", *params)[1]
    assert pear("verify", *params)[0] == 0
    assert pear("failures", *params)[1].endswith("failures\n")
    assert pear("inspect", f"{name}/1.png#0", *params, "--out", "drawn.png")[0] == 0
    assert pear("retry", f"{name}/00001", *params)[0] == 0
    assert "2 done, 0 to do" in pear("annotate", "--dry-run", *params)[1]
    shown = pear("config", *params)[1]
    assert f'datasets = ["{project / "photos.yaml"}"]  (file)' in shown
    assert f"output.labels = {project / 'labels'}  (default)" in shown
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["drawn.png"]


def test_what_is_typed_is_relative_to_the_working_folder(project, tmp_path):
    write_photos(tmp_path / "elsewhere/other", ["4.png"])
    params = ("--params", project / "params.yaml")
    assert pear("annotate", "other", *params, "--set", "output.work=w", "--set", "output.labels=l")[0] == 0
    assert (tmp_path / "elsewhere/l/other/all/00000.parquet").is_file()
    assert (tmp_path / "elsewhere/w").is_dir()
    assert (project / "reports/annotate/index.html").is_file()
    assert pear("annotate", *params, "--root", "my_project=other", "--set", "output.labels=m")[0] == 0
    record = json.loads((project / "work/plan/my_project/all/source.json").read_text())
    assert record["root"] == str(tmp_path / "elsewhere/other")
    assert record["overrides"] == {"output.labels": str(tmp_path / "elsewhere/m")}


@pytest.mark.long
def test_the_root_of_a_manifest_belongs_to_the_project_wherever_the_manifest_lies(project, tmp_path):
    (project / "manifests").mkdir()
    write_manifest(project / "manifests/far.yaml", "far", "photos")
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("photos.yaml", "manifests/far.yaml, my_photos")
        + "  roots: {my_photos: photos}\n"
    )
    assert pear("annotate", "--params", project / "params.yaml")[0] == 0
    for name in ("far", "my_photos"):
        record = json.loads((project / f"work/plan/{name}/all/source.json").read_text())
        assert record["root"] == str(project / "photos")
    assert pear("annotate", "../my project/manifests/far.yaml", "--params", "../my project/params.yaml")[0] == 0


@pytest.mark.long
def test_records_of_earlier_versions_are_relative_to_their_settings_file(project):
    params = ("--params", project / "params.yaml")
    pear("annotate", *params, "--set", f"output.work={project / 'w'}")
    path = project / "w/plan/my_project/all/source.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"overrides": {"output.work": "w"}}))
    status, said = pear("retry", "my_project/0", *params, "--set", "output.work=../my project/w")
    assert status == 0, said


def test_a_name_that_is_neither_says_where_was_looked(project):
    status, said = pear("annotate", "photo", "--params", project / "params.yaml")
    assert status == 2
    assert re.search(r"no manifest 'photo'; known are .*elsewhere/photo is not", " ".join(said.split()))


def test_training_and_prediction_keep_the_same_rule(project, tmp_path):
    here, elsewhere = str(project), str(tmp_path / "elsewhere")
    file = project / "train.yaml"
    file.write_text("train: {datasets: [{path: labels/a, images: photos}], mean: mean.npz, body_model: {path: body}}\n")
    config = load_train_config(file)
    assert (config.datasets[0].path, config.datasets[0].images) == (f"{here}/labels/a", f"{here}/photos")
    assert (config.mean, config.body_model.path) == (f"{here}/mean.npz", f"{here}/body")
    assert (config.output.runs, config.synthetic.folder) == (f"{here}/runs/train", f"{here}/work/synthetic_people")
    typed = {"datasets": [{"path": "l", "images": "p"}], "mean": "neutral", "output.runs": "r", "backbone_weights": "b"}
    config = load_train_config(file, typed)
    assert (config.datasets[0].path, config.datasets[0].images) == (f"{elsewhere}/l", f"{elsewhere}/p")
    assert (config.mean, config.output.runs, config.backbone_weights) == ("neutral", f"{elsewhere}/r", f"{elsewhere}/b")
    file = project / "predict.yaml"
    file.write_text("predict: {checkpoint: net.st}\n")
    config = load_predict_config(file, {"body_model.path": "body", "keypoints.options.pose_path": "pose.onnx"})
    assert (config.checkpoint, config.out) == (f"{here}/net.st", f"{here}/predictions")
    assert config.body_model.path == f"{elsewhere}/body"
    assert config.keypoints.options["pose_path"] == f"{elsewhere}/pose.onnx"
