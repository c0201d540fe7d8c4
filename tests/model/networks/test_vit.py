"""The vision transformer: upstream's names and sizes, and its numbers against a slow version in plain steps."""

import dataclasses
import math

import pytest
import torch

from model.networks.sizes import VIT_SIZES, ViTConfig
from model.networks.vit import ConvolutionalStem, ViT, heads_of_width, sine_cosine_table

SMALL = ViTConfig(width=12, depth=2, heads=3, image_size=(32, 48))


def random_vit(config=SMALL, seed=0):
    torch.manual_seed(seed)
    network = ViT(config).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return network


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight + bias


def slow_vit(state, config, image):
    """One image (3, H, W), token by token."""
    padded = torch.zeros(3, image.shape[1] + 4, image.shape[2] + 4, dtype=image.dtype)
    padded[:, 2:-2, 2:-2] = image
    table = state["pos_embed"][0]
    tokens = []
    for row in range(image.shape[1] // 16):
        for column in range(image.shape[2] // 16):
            patch = padded[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            value = (state["patch_embed.proj.weight"] * patch).sum((1, 2, 3)) + state["patch_embed.proj.bias"]
            tokens.append(value + table[1 + len(tokens)] + table[0])
    x = torch.stack(tokens)
    size = config.width // config.heads
    for block in range(config.depth):
        p = {name.removeprefix(f"blocks.{block}."): t for name, t in state.items()}
        normed = layer_norm(x, p["norm1.weight"], p["norm1.bias"])
        qkv = normed @ p["attn.qkv.weight"].T + p["attn.qkv.bias"]
        heads = []
        for head in range(config.heads):
            q, k, v = (
                qkv[:, part * config.width + head * size : part * config.width + (head + 1) * size] for part in range(3)
            )
            share = torch.exp(q @ k.T / math.sqrt(size))
            heads.append(share / share.sum(1, keepdim=True) @ v)
        x = x + torch.cat(heads, 1) @ p["attn.proj.weight"].T + p["attn.proj.bias"]
        normed = layer_norm(x, p["norm2.weight"], p["norm2.bias"])
        hidden = normed @ p["mlp.fc1.weight"].T + p["mlp.fc1.bias"]
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + hidden @ p["mlp.fc2.weight"].T + p["mlp.fc2.bias"]
    return layer_norm(x, state["last_norm.weight"], state["last_norm.bias"])


def test_same_as_the_slow_version():
    network = random_vit()
    images = torch.randn(3, 3, 32, 48, dtype=torch.float64)
    expected = torch.stack([slow_vit(network.state_dict(), SMALL, image) for image in images])
    assert torch.allclose(network(images), expected, atol=1e-10)


def test_huge_network_has_upstreams_entries():
    """389 entries and 630.9 million numbers: counted in HaMeR's and HMR2's code."""
    with torch.device("meta"):
        state = ViT(VIT_SIZES["H"]).state_dict()
    assert len(state) == 389
    assert sum(t.numel() for t in state.values()) == 630_912_000
    shapes = {
        "pos_embed": (1, 193, 1280), "patch_embed.proj.weight": (1280, 3, 16, 16), "last_norm.bias": (1280,),
        "blocks.31.norm1.weight": (1280,), "blocks.31.attn.qkv.weight": (3840, 1280),
        "blocks.0.attn.proj.bias": (1280,), "blocks.31.mlp.fc1.weight": (5120, 1280),
        "blocks.0.mlp.fc2.weight": (1280, 5120),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize(("size", "width", "depth"), [("S", 384, 12), ("B", 768, 12), ("L", 1024, 24)])
def test_smaller_sizes(size, width, depth):
    config = VIT_SIZES[size]
    assert (config.width, config.depth) == (width, depth)
    assert heads_of_width(width) == config.heads
    with torch.device("meta"):
        assert len(ViT(config).state_dict()) == 12 * depth + 5


def test_batch_is_as_single_and_gradients_flow():
    network = random_vit()
    images = torch.randn(4, 3, 32, 48, dtype=torch.float64)
    alone = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(network(images), alone, atol=1e-12)
    network(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(32, 48\), got \(48, 32\)"):
        random_vit()(torch.zeros(1, 3, 48, 32))
    with pytest.raises(ValueError, match="heads"):
        ViTConfig(width=10, depth=1, heads=3)
    with pytest.raises(ValueError, match="multiples of 16"):
        ViTConfig(width=12, depth=1, heads=3, image_size=(250, 192))


def test_random_start():
    """Linear layers: Xavier's range, no offset; norms: the identity; positions: those of the table, nothing added."""
    torch.manual_seed(0)
    network = ViT(ViTConfig(width=96, depth=2, heads=3, image_size=(128, 96)))
    network.initialise()
    state = network.state_dict()
    for name, tensor in state.items():
        if "norm" in name:
            assert torch.equal(tensor, torch.full_like(tensor, float(name.endswith("weight")))), name
        elif tensor.ndim == 2:
            bound = math.sqrt(6 / sum(tensor.shape))
            assert 0.95 * bound < float(tensor.abs().max()) <= bound, name
        elif name.endswith("bias"):
            assert not bool(tensor.any()), name
    assert not bool(state["pos_embed"][:, 0].any())
    assert torch.equal(state["pos_embed"][0, 1:], sine_cosine_table(8, 6, 96))


def test_tokens_of_convolutions_lie_where_those_of_patches_do():
    """A dot changes the token of its patch most, and those far from it not at all."""
    torch.manual_seed(0)
    stem = ConvolutionalStem(32).double()
    stem.initialise()
    still = torch.zeros(1, 3, 128, 96, dtype=torch.float64)
    for row, column in ((0, 0), (2, 4), (7, 5)):
        dotted = still.clone()
        dotted[..., 16 * row + 2 : 16 * row + 7, 16 * column + 2 : 16 * column + 7] = 1.0
        change = (stem(dotted) - stem(still)).detach().norm(dim=-1).unflatten(1, (8, 6))[0]
        assert divmod(int(change.argmax()), 6) == (row, column)
        rows, columns = torch.meshgrid(torch.arange(8), torch.arange(6), indexing="ij")
        far = (rows - row).abs().maximum((columns - column).abs()) > 1
        assert float(change[far].abs().max()) == 0.0


def test_a_stem_of_convolutions_keeps_the_rest_of_the_network():
    config = ViTConfig(width=32, depth=2, heads=2, image_size=(32, 48))
    by_patches, by_convolutions = (ViT(dataclasses.replace(config, stem=stem)) for stem in ("patches", "convolutions"))
    names = [{n for n in network.state_dict() if "patch_embed" not in n} for network in (by_patches, by_convolutions)]
    assert names[0] == names[1]
    by_convolutions.initialise()
    tokens = by_convolutions.patch_embed(torch.randn(64, 3, 32, 48)).detach()
    assert tokens.shape == (64, 6, 32)
    assert 0.3 < float(tokens.std()) < 3.0  # neither drowned by the position table nor drowning it
    by_convolutions(torch.randn(2, 3, 32, 48)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in by_convolutions.patch_embed.parameters())


@pytest.mark.parametrize(
    ("changes", "said"), [({"stem": "fourier"}, "fourier"), ({"stem": "convolutions", "width": 12}, "8 divides")]
)
def test_impossible_stems_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(SMALL, **changes)


def test_position_table_tells_distances_apart():
    """The product of two rows falls with the distance of their patches, the same in every direction."""
    table = sine_cosine_table(8, 8, 64).unflatten(0, (8, 8))
    near = [float(table[4, 4] @ table[4 + r, 4 + c]) for r, c in ((0, 0), (0, 1), (1, 1), (0, 3), (3, 3))]
    assert near == sorted(near, reverse=True)
    assert float(table[4, 4] @ table[4, 6]) == pytest.approx(float(table[4, 4] @ table[6, 4]), rel=1e-5)
    with pytest.raises(ValueError, match="multiple of 4"):
        sine_cosine_table(2, 2, 6)


def test_a_branch_is_skipped_for_its_share_of_the_images():
    """An image has the whole branch, enlarged so that the mean stays, or nothing of it."""
    block = random_vit(dataclasses.replace(SMALL, drop_path=0.25)).blocks[1]
    with torch.no_grad():
        for parameter in block.mlp.parameters():
            parameter.zero_()
    tokens = torch.randn(1, 6, 12, dtype=torch.float64).expand(4000, -1, -1)
    whole = block.eval()(tokens) - tokens
    torch.manual_seed(0)
    share = (block.train()(tokens) - tokens) / whole
    kept = share[:, 0, 0] > 0.5
    assert torch.allclose(share, torch.where(kept, 1 / 0.75, 0.0).double()[:, None, None].expand_as(share), atol=1e-6)
    assert abs(float(kept.double().mean()) - 0.75) < 0.03


def test_skipping_only_while_training():
    network = random_vit(dataclasses.replace(SMALL, drop_path=0.9))
    images = torch.randn(8, 3, 32, 48, dtype=torch.float64)
    plain = random_vit()
    assert torch.equal(network(images), plain(images))
    torch.manual_seed(0)
    assert not torch.equal(network.train()(images), plain(images))
    with pytest.raises(ValueError, match="drop_path must be 0 or more and below 1, got 1"):
        dataclasses.replace(SMALL, drop_path=1.0)
