"""Regressors as bytes: what comes back is what went in, and every wrong file is one clear sentence."""

import dataclasses

import pytest
import safetensors.torch
import torch

from model.regressor.checkpoint import CheckpointMeta, load_regressor, save_regressor
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.mean_parameters import neutral
from model.regressor.network import EhmRegressor
from model.tensor_file import pack, unpack

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2, drop_path=0.1),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
META = CheckpointMeta(
    config=TINY,
    step=1200,
    snapshot_hashes=("ab" * 32, "cd" * 32),
    body_model={"name": "open", "sha256": "ef" * 32},
    training={"optimiser": {"lr": 1e-5}, "seed": 0, "weights": None},
    metrics={"pa_mpjpe_mm": 61.5},
    code_version="0.1.0",
)


def regressor(config=TINY, seed=0):
    torch.manual_seed(seed)
    mean = {name: torch.randn(value.shape) for name, value in neutral(config).items()}
    return EhmRegressor(config, mean)


def replaced(data, **changes):
    """The same file with other metadata."""
    tensors, metadata = unpack(data, "x")
    return pack(tensors, {name: value for name, value in (metadata | changes).items() if value is not ...})


# --- what comes back --------------------------------------------------------------------------------------------------
def test_round_trip():
    network = regressor()
    found, meta = load_regressor(save_regressor(network, META), source="x")
    assert meta == META
    assert found.config == TINY
    assert not found.training
    state = network.state_dict()
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.state_dict().items())
    assert all(torch.equal(t, network.mean[name]) for name, t in found.mean.items())
    assert all(parameter.requires_grad for parameter in found.parameters())
    crops = torch.randn(2, 3, 64, 64)
    assert torch.equal(found(crops).camera, network.eval()(crops).camera)


def test_equal_content_gives_equal_bytes():
    first, second = (save_regressor(regressor(), META) for _ in range(2))
    assert first == second
    assert first != save_regressor(regressor(seed=1), META)
    assert save_regressor(*load_regressor(first, source="x")) == first


def test_metadata_must_describe_the_network():
    with pytest.raises(ValueError, match="num_betas is 10, expected 11"):
        save_regressor(regressor(), dataclasses.replace(META, config=dataclasses.replace(TINY, num_betas=11)))


def test_any_reader_of_safetensors_reads_it():
    network = regressor()
    tensors = safetensors.torch.load(save_regressor(network, META))
    assert tensors.keys() == network.state_dict().keys()


# --- wrong files ------------------------------------------------------------------------------------------------------
def test_files_cut_short():
    data = save_regressor(regressor(), META)
    for length in (0, 1, 7, 8, 9, 100, 5000, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match=r"^checkpoint\.st is no safetensors file or is cut short"):
            load_regressor(data[:length], source="checkpoint.st")


def test_a_training_state_is_no_regressor():
    with pytest.raises(ValueError, match=r"x is of the format 'training/1', expected 'ehm-regressor/1'"):
        load_regressor(pack({}, {"format": "training/1"}), source="x")
    with pytest.raises(ValueError, match="format None"):
        load_regressor(pack({}, {}), source="x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": ...}, "the metadata lacks step"),
        ({"colour": "red"}, "unknown setting colour"),
        ({"config": TINY.to_dict() | {"colour": 3}}, "colour"),
        ({"config": TINY.to_dict() | {"focal_sides": -1.0}}, "focal_sides"),
        ({"config": "B"}, "config"),
        ({"config": {"backbone": "B"}}, r"config\.backbone: expected a mapping of settings, got 'B'"),
        ({"step": "many"}, "step"),
        ({"snapshot_hashes": 3}, "snapshot_hashes"),
        ({"metrics": []}, "metrics"),
    ],
)
def test_unknown_metadata(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_regressor(replaced(save_regressor(regressor(), META), **changes), source="some.st")
    assert "some.st" in str(caught.value)


def test_another_architecture_names_both_sides():
    other = RegressorConfig(
        backbone=BackboneConfig(size="B"), decoder=TINY.decoder, crop_px=64, side_px=8, focal_sides=12.0
    )
    assert other.differences(TINY) == [
        "backbone width is 32, expected 768", "backbone depth is 1, expected 12", "backbone heads is 2, expected 12",
        "focal_sides is 19.53125, expected 12.0",
    ]  # fmt: skip


def test_what_only_training_needs_is_no_difference():
    other = dataclasses.replace(TINY, backbone=dataclasses.replace(TINY.backbone, drop_path=0.5))
    assert other.differences(TINY) == []
    by_name = RegressorConfig(backbone=BackboneConfig(size="S"))
    by_figures = RegressorConfig(backbone=BackboneConfig(size="", width=384, depth=12, heads=12))
    assert by_name.differences(by_figures) == []


def test_another_stem_is_a_difference():
    other = dataclasses.replace(TINY, backbone=dataclasses.replace(TINY.backbone, stem="convolutions"))
    assert TINY.differences(other) == ["backbone stem is convolutions, expected patches"]


def test_tensors_that_do_not_fit_are_listed():
    data = save_regressor(regressor(), META)
    tensors, metadata = unpack(data, "x")
    without = {name: tensor for name, tensor in tensors.items() if name != "smplx_head.betas.mean"}
    for found, message in (
        (without, "1 missing: smplx_head.betas.mean"),
        (tensors | {"smplx_head.offsets.mean": torch.zeros(1)}, "1 unexpected: smplx_head.offsets.mean"),
        (tensors | {"flame_head.eyelids.mean": torch.zeros(3)}, r"flame_head.eyelids.mean \(3,\) instead of \(2,\)"),
        (tensors | {"flame_head.eyelids.mean": torch.full((2,), torch.inf)}, "1 not finite: flame_head.eyelids.mean"),
    ):
        with pytest.raises(ValueError, match=message):
            load_regressor(pack(found, metadata), source="x")
