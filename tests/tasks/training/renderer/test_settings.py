from pathlib import Path

import pytest
import yaml

from tasks.training.renderer.settings import RendererConfig, load_renderer_config

ROOT = Path(__file__).resolve().parents[4]
PHOTOS = {"path": "labels/mine", "images": "photos"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"directions": 600}, "directions: 600 cannot be learnt from synthetic.train = 600 people"),
        ({"kind": "mesh"}, "kind: expected one of texture, got 'mesh'"),
        ({"start": "runs/renderer.safetensors"}, "start: nothing to adapt it to; name labels with photos and masks"),
        (
            {"datasets": [PHOTOS]},
            r"datasets\[0\].masks: a renderer is learnt from what masks show .* name their folder",
        ),
        ({"rasteriser": "gsplat"}, "rasteriser: expected one of tiles, native, got 'gsplat'"),
        ({"synthetic": {"crop_shares": [1, 1, 0, 0, 0, 0]}}, "synthetic.crop_shares: expected shares that add up to 1"),
        ({"perceptual": {"kind": "lpips"}}, "perceptual.kind: expected one of"),
        ({"texture": 1}, "unknown setting texture; known are"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_setting(tmp_path, given, sentence):
    (tmp_path / "params.renderer.yaml").write_text(yaml.safe_dump({"renderer": given}))
    with pytest.raises(ValueError, match=sentence):
        load_renderer_config(tmp_path / "params.renderer.yaml")


def test_paths_are_those_of_the_settings_file(tmp_path):
    (tmp_path / "params.renderer.yaml").write_text(
        yaml.safe_dump({"renderer": {"datasets": [{**PHOTOS, "masks": "masks"}]}})
    )
    config = load_renderer_config(tmp_path / "params.renderer.yaml", {"directions": 5})
    assert config.datasets[0].masks == str(tmp_path / "masks")
    assert config.output.checkpoint == str(tmp_path / "runs/renderer.safetensors")
    assert config.directions == 5


def test_places_of_files_decide_nothing():
    assert (
        RendererConfig().deciding()
        == load_renderer_config(
            ROOT / "params.renderer.yaml", {"output.metrics": "elsewhere.json", "synthetic.held_out": 24}
        ).deciding()
    )
