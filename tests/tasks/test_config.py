"""Settings: what is read, what is refused, and what a change of them re-does."""

from pathlib import Path

import pytest

from tasks.config import AnnotateConfig, RunConfig, from_mapping, load_config

PROJECT = Path(__file__).resolve().parents[2]


def test_the_projects_own_settings_are_valid():
    config = load_config(PROJECT / "params.yaml")
    assert config.datasets == ("demo_photos", "demo_people")
    assert Path(config.output.labels) == PROJECT / "labels"


def test_overrides_replace_nested_values(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {keypoints: {backend: mediapipe}, run: {workers: 1}}\n")
    config = load_config(path, {"keypoints.backend": "annotations", "run.workers": 3})
    assert (config.keypoints.backend, config.run.workers) == ("annotations", 3)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"keypoint": {}}, "unknown setting keypoint"),
        ({"run": {"workers": 0}}, "run.workers"),
        ({"run": {"workers": "two"}}, "expected int, got 'two'"),
        ({"run": {"workers": True}}, "expected int, got True"),
        ({"run": {"task_runner": "slurm"}}, "threads, dask or ray"),
        ({"body_model": {"head_fusion": "paper"}}, "unknown setting head_fusion"),
        ({"datasets": "demo_photos"}, "expected a list"),
        ({"roots": "x"}, "expected a mapping"),
        ({"run": {"retries": -1}}, "run.retries"),
        ({"run": 3}, "expected a mapping"),
        ({"smpl_to_smplx": "average"}, "conjugate, additive, copy, got 'average'"),
    ],
)
def test_a_wrong_setting_is_named(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        from_mapping(AnnotateConfig, values, "params.yaml")


def test_a_missing_settings_file_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="--params"):
        load_config(tmp_path / "absent.yaml")


def test_an_override_below_a_plain_value_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {datasets: [demo_photos]}\n")
    with pytest.raises(ValueError, match="datasets is a single value"):
        load_config(path, {"datasets.x": 1})


def test_a_whole_number_is_a_float():
    assert from_mapping(RunConfig, {"max_failed_share": 1}, "run").max_failed_share == 1.0


def test_the_place_of_a_body_model_is_relative_to_the_settings(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {body_model: {path: licensed}}\n")
    assert load_config(path).body_model.path == str(tmp_path / "licensed")
    assert load_config(path, {"body_model.path": "/models"}).body_model.path == "/models"


def test_the_files_of_a_backend_are_relative_to_the_settings(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {hands: {backend: hamer, options: {checkpoint_path: hamer.ckpt, batch_size: 8}}}\n")
    options = load_config(path).hands.options
    assert options == {"checkpoint_path": str(tmp_path / "hamer.ckpt"), "batch_size": 8}
    assert load_config(path, {"hands.options.checkpoint_path": None}).hands.options["checkpoint_path"] is None
