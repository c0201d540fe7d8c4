"""Settings of the kind guava."""

from pathlib import Path

import pytest

from model.renderer.guava.config import PUBLISHED
from tasks.training.engine.config import from_plain, to_plain
from tasks.training.guava.settings import GuavaTrainConfig, is_guava, load_guava_config

ROOT = Path(__file__).resolve().parents[4]
RECIPE = ROOT / "params.guava.yaml"


def test_the_recipe_is_that_of_the_release():
    config = load_guava_config(RECIPE)
    assert config.network == PUBLISHED
    assert config.optimiser.betas == (0.0, 0.99)
    assert config.optimiser.final_lr_share == 0.03
    assert config.loss.term.name == "lpips-alex-unmapped"
    assert config.loss.term.batch == "sum"
    assert config.checkpoint == str(ROOT / "licensed/guava/checkpoint.pt")
    assert config.datasets[0].masks == str(ROOT / "masks/my_videos/all")


def test_settings_survive_their_file():
    config = load_guava_config(RECIPE, {"loss.head": 0.5, "network.image_px": 256})
    assert from_plain(to_plain(config), GuavaTrainConfig) == config
    assert (config.loss.head, config.network.image_px) == (0.5, 256)


def test_the_kind_says_which_settings_they_are(tmp_path):
    assert is_guava(RECIPE)
    assert not is_guava(ROOT / "params.renderer.yaml")
    assert is_guava(ROOT / "params.renderer.yaml", {"kind": "guava"})
    with pytest.raises(ValueError, match="nowhere"):
        is_guava(tmp_path / "nowhere.yaml")


def test_places_of_files_decide_nothing_and_weights_do():
    config = load_guava_config(RECIPE)
    elsewhere = load_guava_config(RECIPE, {"output.runs": "other", "checkpoint": "other.pt", "rasteriser": "native"})
    assert elsewhere.deciding() == config.deciding()
    assert load_guava_config(RECIPE, {"loss.head": 0.5}).deciding() != config.deciding()
