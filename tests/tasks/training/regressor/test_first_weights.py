"""What a training begins with: a backbone or a whole regressor from a file, also of another size of image."""

import dataclasses

import pytest
import torch
from training_rig import TINY, NoiseExperiment, noise_plan

from datasets_manifest.files import file_sha256
from model.regressor.checkpoint import CheckpointMeta, load_regressor, save_regressor
from model.regressor.mean_parameters import neutral
from model.regressor.network import EhmRegressor

LARGER = dataclasses.replace(TINY, crop_px=96, side_px=8)


@pytest.fixture
def trained(tmp_path):
    """A network of 64 x 48 px in a file, and the file."""
    torch.manual_seed(9)
    network = EhmRegressor(TINY, neutral(TINY))
    meta = CheckpointMeta(
        config=TINY, step=1, snapshot_hashes=(), body_model={}, training={}, metrics={}, code_version="test"
    )
    path = tmp_path / "trained.safetensors"
    path.write_bytes(save_regressor(network, meta))
    return network, path


def begun(tmp_path, **settings):
    return NoiseExperiment(noise_plan(tmp_path, **settings)).objective().network


def test_a_backbone_is_taken_from_a_file(tmp_path, trained):
    network, path = trained
    found = begun(tmp_path, backbone_weights=str(path))
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(found.backbone.state_dict()[name], value), name
    assert not torch.equal(found.smplx_head.pose.linear.weight, network.smplx_head.pose.linear.weight)


def test_another_size_of_image_is_refused_unless_it_is_stated(tmp_path, trained):
    _, path = trained
    with pytest.raises(ValueError, match="its position table is for 12 tokens"):
        begun(tmp_path, network=LARGER.to_dict(), backbone_weights=str(path))


def test_the_position_table_of_another_size_is_interpolated(tmp_path, trained):
    """All else stays (tests/model/regressor/test_backbone_weights.py has the values)."""
    network, path = trained
    found = begun(tmp_path, network=LARGER.to_dict(), backbone_weights=str(path), backbone_image_px=(64, 48))
    assert found.backbone.pos_embed.shape[1] == 1 + 6 * 5
    for name, value in network.backbone.state_dict().items():
        if name != "pos_embed":
            assert torch.equal(found.backbone.state_dict()[name], value), name
    assert torch.equal(found.backbone.pos_embed[0, 0], network.backbone.pos_embed[0, 0])


def test_a_whole_regressor_goes_on_with_crops_of_another_size(tmp_path, trained):
    network, path = trained
    found = begun(tmp_path, network=LARGER.to_dict(), mean="labels", regressor_weights=str(path))
    assert found.config == LARGER
    for name, value in network.state_dict().items():
        if name != "backbone.pos_embed":
            assert torch.equal(found.state_dict()[name], value), name
    assert found.backbone.pos_embed.shape[1] == 1 + 6 * 5


def test_a_regressor_of_another_width_is_refused(tmp_path, trained):
    _, path = trained
    wider = dataclasses.replace(TINY, decoder=dataclasses.replace(TINY.decoder, hidden=48))
    with pytest.raises(ValueError, match="is another network: decoder hidden is 32, expected 48"):
        begun(tmp_path, network=wider.to_dict(), mean="labels", regressor_weights=str(path))


@pytest.mark.parametrize(("setting", "kind"), [("regressor_weights", "regressor"), ("backbone_weights", "backbone")])
def test_a_checkpoint_states_the_file_that_it_began_from(tmp_path, trained, setting, kind):
    _, path = trained
    experiment = NoiseExperiment(
        noise_plan(tmp_path, **{"mean": "labels" if kind == "regressor" else "neutral", setting: str(path)})
    )
    objective, sha256 = experiment.objective(), file_sha256(path)
    path.unlink()
    _, meta = load_regressor(experiment.export(objective, 1, {}), source="export")
    assert meta.training["came_from"] == {kind: {"sha256": sha256}}
