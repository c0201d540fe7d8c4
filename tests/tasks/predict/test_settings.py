"""Settings of a prediction from a file: its paths are relative to it, those of the command line are not."""

from pathlib import Path

import pytest

from datasets_manifest.settings import read_settings
from tasks.predict.settings import PredictConfig, load_predict_config


def test_paths_of_a_file_are_relative_to_it_and_overrides_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    path = tmp_path / "p.yaml"
    options = "{backend: dwpose, options: {pose_path: pose.onnx}}"
    path.write_text(f"predict: {{checkpoint: net.st, keypoints: {options}, run: {{batch_size: 4}}}}")
    config = load_predict_config(path, {"out": "here", "run.device": "cpu"})
    assert (config.checkpoint, config.out) == (str(tmp_path / "net.st"), str(tmp_path.parent / "here"))
    assert config.keypoints.options == {"pose_path": str(tmp_path / "pose.onnx"), "device": "cpu"}
    assert (config.run.batch_size, config.run.mode) == (4, "eager")


def test_results_lie_beside_the_file_or_in_the_working_folder_without_one(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("predict: {checkpoint: net.st}")
    assert load_predict_config(path, {}).out == str(tmp_path / "predictions")
    assert load_predict_config(None, {"checkpoint": "net.st"}).out == str(Path("predictions").absolute())


def test_without_a_file_the_checkpoint_must_be_given():
    with pytest.raises(ValueError, match="checkpoint: is missing"):
        load_predict_config(None, {})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"boxes": "faces"}, "boxes: expected one of keypoints, whole, got 'faces'"),
        ({"meshes": "ply"}, "meshes: expected one of gltf, obj, got 'ply'"),
        ({"rotations_only": True, "overlays": True}, "no mesh is computed"),
        ({"focal_px": 0.0}, "focal_px: expected more than 0, got 0.0"),
        ({"run": {"mode": "fast"}}, "mode: expected one of eager, compile, graph, got 'fast'"),
        ({"keypoints": {"backend": "annotations"}}, "'annotations' finds nobody in a photo"),
        ({"keypoints": {"backend": "simulated"}}, "'simulated' finds nobody in a photo"),
    ],
)
def test_settings_that_cannot_be_name_field_and_value(wrong, message):
    with pytest.raises(ValueError, match=message):
        read_settings(PredictConfig, {"checkpoint": "net.safetensors", **wrong}, "settings")
