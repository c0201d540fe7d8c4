"""Settings of stage 2: presets load, mistakes end in a sentence, files decide by their content."""

import json
from pathlib import Path

import pytest
import yaml

from tasks.training.engine.config import from_plain, to_plain
from tasks.training.photometric.settings import PhotometricTrainConfig, load_photometric_config
from tasks.training.regressor.settings import load_train_config

ROOT = Path(__file__).resolve().parents[4]
PRESETS = ("params.photometric.yaml", "params.photometric-face.yaml", "params.photometric-paper.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_comes_back_from_json(name):
    config = load_photometric_config(ROOT / name)
    assert from_plain(json.loads(json.dumps(to_plain(config))), PhotometricTrainConfig) == config


def test_presets_go_on_from_those_of_stage_1():
    """The network is that of stage 1, and its loss is kept."""
    stage_1 = ("params.train.yaml", "params.train-face.yaml", "params.train-paper.yaml")
    for own, before in zip(PRESETS, stage_1, strict=True):
        config, stage1 = load_photometric_config(ROOT / own), load_train_config(ROOT / before)
        assert (config.network, config.loss, config.body_model) == (stage1.network, stage1.loss, stage1.body_model)
        assert config.regressor_weights == stage1.output.checkpoint
        assert config.output.checkpoint != stage1.output.checkpoint


def test_the_papers_preset_states_the_papers_figures():
    config = load_photometric_config(ROOT / "params.photometric-paper.yaml")
    assert (config.steps, config.run.batch_size, config.run.processes) == (20_000, 2, 8)
    assert config.photometric.term.kind == "lpips-alex"
    assert config.max_start == 0.03


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"renderer": None}, "renderer"),
        ({"regressor_weights": None}, "regressor_weights"),
        ({"parts": []}, "parts: expected one or more of head, left_hand, right_hand, each once"),
        ({"parts": ["head", "head"]}, "each once"),
        ({"renderer_training": "joint"}, "painted to fit the wrong pose.*pear finetune-renderer"),
        ({"photometric": {"l1": -1}}, "l1: expected a weight of 0 or more"),
        ({"photometric": {"term": {"batch": "sum"}}}, "each person has a loss of its own"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, change, said):
    stated = {"regressor_weights": "a", "renderer": "b", "synthetic": {"train": 1}} | change
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"train_photometric": {k: v for k, v in stated.items() if v is not None}}))
    with pytest.raises(ValueError, match=said):
        load_photometric_config(path)


def test_how_gaussians_are_drawn_and_where_files_lie_decide_nothing():
    path = ROOT / "params.photometric.yaml"
    plain = load_photometric_config(path).deciding()
    elsewhere = {"photometric.rasteriser": "native", "renderer": "/elsewhere", "output.checkpoint": "/x"}
    assert load_photometric_config(path, elsewhere).deciding() == plain
    assert load_photometric_config(path, {"labels_weight": 0.4}).deciding() != plain
