"""The body that a checkpoint speaks of, and numbers that pose none."""

import dataclasses

import pandas as pd
import pytest
from predictions_of_photos import TINY, checkpoint, settings

from datasets_manifest.shards.shard import read_footer
from model.body.assets import load_open_body
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.network import EhmRegressor
from tasks.predict.run import predict
from tasks.settings import BodyModelConfig

pytestmark = pytest.mark.usefixtures("backend")


def test_another_body_is_refused_with_both_names(folder, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(checkpoint(sha256="0123456789abcdef"))
    config = settings(folder, tmp_path / "out", checkpoint=str(tmp_path / "other.safetensors"))
    ours = load_open_body().sha256[:12]
    with pytest.raises(ValueError, match=rf"speaks of the body model open_body.*0123456789ab.*open_body.*{ours}"):
        predict([str(folder / "in/a_three.png")], config)
    assert predict([str(folder / "in/a_three.png")], dataclasses.replace(config, rotations_only=True)).people == 2


def test_another_fusion_is_refused_and_the_settings_name_it(folder, tmp_path):
    network, path = EhmRegressor(TINY), tmp_path / "paper.safetensors"
    entry = dataclasses.replace(load_open_body(), fusion="paper").entry
    path.write_bytes(save_regressor(network, CheckpointMeta(config=TINY, body_model=entry)))
    photo, config = str(folder / "in/a_three.png"), settings(folder, tmp_path / "out", checkpoint=str(path))
    with pytest.raises(
        ValueError, match=r"fusion paper\), this run uses open_body.*, fusion blended\).*body_model\.fusion"
    ):
        predict([photo], config)
    config = dataclasses.replace(config, body_model=BodyModelConfig(fusion="paper"))
    assert predict([photo], config).people == 2
    (shard,) = (tmp_path / "out/people").rglob("*.parquet")
    assert read_footer(shard).body_model["fusion"] == "paper"


def test_numbers_that_are_not_finite_become_a_row(folder, tmp_path):
    network = EhmRegressor(TINY)
    network.get_parameter("flame_head.flame_shape.linear.bias").data[3] = 3e38
    body = {"name": "open_body_smplx", "sha256": load_open_body().sha256}
    (tmp_path / "huge.safetensors").write_bytes(save_regressor(network, CheckpointMeta(config=TINY, body_model=body)))
    config = settings(
        folder, tmp_path / "out", checkpoint=str(tmp_path / "huge.safetensors"), overlays=True, meshes="obj"
    )
    done = predict([str(folder / "in/a_three.png")], config)
    table = pd.read_parquet(tmp_path / "out/people")
    assert done.people == 0
    assert list(table["error_code"]) == ["prediction_not_finite", "prediction_not_finite", "box_invalid"]
    assert not (tmp_path / "out/meshes").exists()
