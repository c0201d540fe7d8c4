"""Published weights as a backbone: every layout, ViTPose++'s experts, position tables, and what is refused."""

import logging

import pytest
import torch
from upstream_packages import upstream

from model.networks.sizes import ViTConfig
from model.networks.vit import ViT
from model.regressor.backbone_weights import EXPERT_NAMES, backbone_tensors
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor
from model.weights import read_checkpoint

CONFIG = ViTConfig(width=12, depth=2, heads=3, image_size=(64, 48))
PART = 4
"""Channels of an expert."""


def random_state(seed=0, config=CONFIG):
    torch.manual_seed(seed)
    network = ViT(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def prefixed(state, prefix="backbone."):
    return {prefix + name: tensor for name, tensor in state.items()}


def with_experts(states):
    """One ViTPose++ file of networks that agree but for the last channels of each MLP."""
    found = {name: tensor for name, tensor in states[0].items() if ".fc2." not in name}
    for block in range(CONFIG.depth):
        for part in ("weight", "bias"):
            name = f"blocks.{block}.mlp.fc2.{part}"
            found[name] = states[0][name][:-PART]
            for expert, state in enumerate(states):
                found[f"blocks.{block}.mlp.experts.{expert}.{part}"] = state[name][-PART:]
    return found


def experts_of(num=6):
    """Networks that differ in their experts alone, and their file."""
    states = [random_state()]
    for expert in range(1, num):
        state = dict(states[0])
        for name in state:
            if ".fc2." in name:
                other = random_state(expert)[name]
                state[name] = torch.cat([state[name][:-PART], other[-PART:]])
        states.append(state)
    return states, with_experts(states)


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def test_a_stem_of_convolutions_loads_where_it_is_asked_for_and_nowhere_else():
    by_convolutions = ViTConfig(width=16, depth=2, heads=2, image_size=(64, 48), stem="convolutions")
    by_patches = ViTConfig(width=16, depth=2, heads=2, image_size=(64, 48))
    state = random_state(config=by_convolutions)
    assert same(backbone_tensors(prefixed(state), by_convolutions, source="x"), state)
    for config, other, said in (
        (by_patches, state, "stem convolutions where the settings ask for patches"),
        (by_convolutions, random_state(config=by_patches), "stem patches where the settings ask for convolutions"),
    ):
        with pytest.raises(ValueError, match=said):
            backbone_tensors(prefixed(other), config, source="x")


HEADS = {"keypoint_head.final_layer.weight": torch.zeros(17, 3), "associate_keypoint_heads.0.x": torch.zeros(1)}
CRITIC = {"smpl_head.decpose.weight": torch.zeros(2, 2), "discriminator.x": torch.zeros(1), "smpl.y": torch.zeros(1)}


@pytest.mark.parametrize(
    ("prefix", "extra"),
    [("backbone.", HEADS), ("", {}), ("", HEADS), ("backbone.", CRITIC)],
    ids=["vitpose", "hmr2-backbone", "no-prefix-with-head", "hmr2-training"],
)
def test_layouts(prefix, extra, caplog):
    state = random_state()
    with caplog.at_level(logging.INFO):
        found = backbone_tensors(prefixed(state, prefix) | extra, CONFIG, source="some file")
    assert same(found, state)
    for name in extra:
        assert name.partition(".")[0] in caplog.text
    ViT(CONFIG).load_state_dict(found)


def test_own_checkpoint():
    config = RegressorConfig(
        backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
        decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
        crop_px=64,
        side_px=8,
    )
    network = EhmRegressor(config)
    found = backbone_tensors(network.state_dict(), config.vit, source="own")
    assert same(found, network.backbone.state_dict())


def test_a_file_of_vitpose(tmp_path):
    """As mmpose saves it, in half precision."""
    state = random_state()
    half = {name: tensor.half() for name, tensor in (prefixed(state) | HEADS).items()}
    torch.save({"meta": {"epoch": 210}, "state_dict": half}, tmp_path / "vitpose.pth")
    found = backbone_tensors(read_checkpoint(tmp_path / "vitpose.pth").tensors, CONFIG, source="vitpose.pth")
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    assert all(torch.equal(found[name], state[name].half().float()) for name in state)


def test_result_is_a_copy():
    state = random_state()
    found = backbone_tensors(state, CONFIG, source="x")
    found["pos_embed"].zero_()
    assert bool(state["pos_embed"].any())


@pytest.mark.parametrize("expert", range(6))
def test_each_expert_is_its_network(expert):
    states, file = experts_of()
    assert same(backbone_tensors(prefixed(file) | HEADS, CONFIG, expert=expert, source="x"), states[expert])


def test_experts_must_be_chosen():
    _, file = experts_of()
    listed = ", ".join(f"{number} ({name})" for number, name in enumerate(EXPERT_NAMES))
    for expert, told in ((None, "none is chosen"), (6, "there is no 6")):
        with pytest.raises(ValueError) as caught:
            backbone_tensors(file, CONFIG, expert=expert, source="plus.pth")
        assert str(caught.value) == (
            f"plus.pth is a ViTPose++ file whose MLPs need one of its experts {listed}; {told}"
        )


def test_expert_of_a_plain_file_is_refused():
    with pytest.raises(ValueError, match="has no experts, so expert 0 cannot be chosen"):
        backbone_tensors(random_state(), CONFIG, expert=0, source="x")


def test_split_file_with_leftover_experts(caplog):
    """ViTPose's tools/model_split.py completes the MLPs and leaves the experts in the file."""
    states, file = experts_of()
    split = file | {name: tensor for name, tensor in states[2].items() if ".fc2." in name}
    with caplog.at_level(logging.INFO):
        assert same(backbone_tensors(split, CONFIG, source="x"), states[2])
    assert "dropping experts 0 (COCO)" in caplog.text
    with pytest.raises(ValueError, match="MLPs are complete"):
        backbone_tensors(split, CONFIG, expert=2, source="x")


def test_experts_lacking_in_a_block_are_refused():
    _, file = experts_of()
    del file["blocks.1.mlp.experts.3.weight"]
    with pytest.raises(ValueError, match=r"blocks.1.mlp.fc2.weight \(8, 48\) instead of \(12, 48\)"):
        backbone_tensors(file, CONFIG, expert=3, source="x")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ViTConfig(width=24, depth=2, heads=3, image_size=(64, 48)), "width 12 where the settings ask for 24"),
        (ViTConfig(width=12, depth=3, heads=3, image_size=(64, 48)), "depth 2 where the settings ask for 3"),
        (ViTConfig(width=12, depth=1, heads=3, image_size=(64, 48)), "depth 2 where the settings ask for 1"),
        (
            ViTConfig(width=12, depth=2, heads=3, image_size=(96, 96)),
            r"is for 12 tokens, images of \(96, 96\) px have 36",
        ),
    ],
)
def test_other_sizes_name_both_sides(config, message):
    with pytest.raises(ValueError, match=message):
        backbone_tensors(random_state(), config, source="x")


def test_names_and_numbers_are_checked():
    state = random_state()
    with pytest.raises(ValueError, match=r"1 missing: blocks.0.norm1.bias"):
        backbone_tensors({k: t for k, t in state.items() if k != "blocks.0.norm1.bias"}, CONFIG, source="x")
    with pytest.raises(ValueError, match=r"1 unexpected: cls_token"):
        backbone_tensors(state | {"cls_token": torch.zeros(1)}, CONFIG, source="x")
    with pytest.raises(ValueError, match=r"1 not finite: last_norm.bias"):
        backbone_tensors(state | {"last_norm.bias": torch.full((12,), torch.nan)}, CONFIG, source="x")
    with pytest.raises(ValueError, match=r"names .*; it has layer1.weight"):
        backbone_tensors({"layer1.weight": torch.zeros(1)}, CONFIG, source="x")
    with pytest.raises(ValueError, match="it has nothing"):
        backbone_tensors({}, CONFIG, source="x")


def test_positions_are_interpolated_when_asked():
    """A table that rises evenly from top to bottom still does, about the same centre; columns stay alike."""
    large = ViTConfig(width=12, depth=2, heads=3, image_size=(128, 96))
    state = random_state()
    rows = (torch.arange(4.0) + 0.5) / 4
    picture = rows.repeat_interleave(3)[None, :, None].expand(-1, -1, 12)
    state["pos_embed"] = torch.cat([torch.full((1, 1, 12), 7.0), picture], 1)
    found = backbone_tensors(state, large, image_size=(64, 48), source="x")["pos_embed"]
    assert found.shape == (1, 49, 12)
    assert torch.equal(found[:, 0], state["pos_embed"][:, 0])
    table = found[0, 1:, 0].view(8, 6)
    assert torch.allclose(table, table[:, :1].expand(-1, 6), atol=1e-6)
    assert torch.allclose(table[:, 0], (torch.arange(8.0) + 0.5) / 8, atol=0.05)
    assert torch.allclose(table + table.flip(0), torch.ones(8, 6), atol=1e-6)
    assert bool((table[1:, 0] > table[:-1, 0]).all())


def test_positions_of_the_same_grid_stay():
    state = random_state()
    found = backbone_tensors(state, CONFIG, image_size=(64, 48), source="x")
    assert torch.equal(found["pos_embed"], state["pos_embed"])
    with pytest.raises(ValueError, match=r"is for 12 tokens, images of \(64, 64\) px as given have 16"):
        backbone_tensors(state, CONFIG, image_size=(64, 64), source="x")


@pytest.mark.upstream
def test_vitpose_plus_plus_itself():
    """ViTPose's own network with experts against ours with one of them."""
    module = upstream("mmpose.models.backbones.vit_moe")
    torch.manual_seed(0)
    theirs = module.ViTMoE(
        img_size=(256, 192), patch_size=16, embed_dim=384, depth=12, num_heads=12, ratio=1, mlp_ratio=4, qkv_bias=True,
        num_expert=6, part_features=192,
    )  # fmt: skip
    theirs.eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.05)
    config = ViTConfig(width=384, depth=12, heads=12)
    images = torch.randn(2, 3, 256, 192)
    ours = ViT(config).eval()
    for expert in (0, 5):
        ours.load_state_dict(backbone_tensors(prefixed(theirs.state_dict()), config, expert=expert, source="x"))
        with torch.no_grad():
            expected = theirs(images, torch.tensor([expert, expert])).flatten(2).mT
            difference = float((ours(images) - expected).abs().max())
        print(f"\nexpert {expert}: largest difference {difference:.1e}")
        assert difference < 1e-4
