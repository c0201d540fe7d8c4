"""The decoder: upstream's names and sizes, and its numbers against a slow version in plain steps."""

import math

import torch

from model.networks.cross_decoder import CrossAttention, CrossDecoder
from model.networks.sizes import DecoderConfig

SMALL = DecoderConfig(context_width=10, width=12, depth=2, heads=2, hidden=9)


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def slow_attention(q, k, v, heads):
    out = []
    for head in range(heads):
        part = slice(64 * head, 64 * head + 64)
        share = torch.exp(q[:, part] @ k[:, part].T / math.sqrt(64))
        out.append(share / share.sum(1, keepdim=True) @ v[:, part])
    return torch.cat(out, 1)


def slow_decoder(state, config, context):
    """Context (N, C) of one image -> (1, D), from a zero token."""
    x = state["to_token_embedding.bias"][None] + state["pos_embedding"][0]
    for layer in range(config.depth):
        p = {name.removeprefix(f"transformer.layers.{layer}."): t for name, t in state.items()}
        for part in range(3):
            n = layer_norm(x, p[f"{part}.norm.weight"], p[f"{part}.norm.bias"])
            if part == 0:
                q, k, v = (n @ p["0.fn.to_qkv.weight"].T).chunk(3, 1)
            elif part == 1:
                q = n @ p["1.fn.to_q.weight"].T
                k, v = (context @ p["1.fn.to_kv.weight"].T).chunk(2, 1)
            else:
                hidden = n @ p["2.fn.net.0.weight"].T + p["2.fn.net.0.bias"]
                hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
                x = x + hidden @ p["2.fn.net.3.weight"].T + p["2.fn.net.3.bias"]
                continue
            read = slow_attention(q, k, v, config.heads)
            x = x + read @ p[f"{part}.fn.to_out.0.weight"].T + p[f"{part}.fn.to_out.0.bias"]
    return x


def test_same_as_the_slow_version():
    torch.manual_seed(0)
    network = CrossDecoder(SMALL).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    context = torch.randn(3, 7, 10, dtype=torch.float64)
    expected = torch.stack([slow_decoder(network.state_dict(), SMALL, image) for image in context])
    assert torch.allclose(network(torch.zeros(3, 1, 1, dtype=torch.float64), context), expected, atol=1e-10)


def test_several_tokens_read_as_one_by_one():
    torch.manual_seed(1)
    attention = CrossAttention(12, 2, 10).double()
    tokens, context = torch.randn(3, 4, 12, dtype=torch.float64), torch.randn(3, 7, 10, dtype=torch.float64)
    each = [attention(tokens[:, k : k + 1], context) for k in range(4)]
    assert torch.allclose(attention(tokens, context), torch.cat(each, 1), atol=1e-12)


def test_published_size_has_upstreams_entries():
    """105 entries and 39.4 million numbers: counted in HaMeR's code."""
    with torch.device("meta"):
        state = CrossDecoder(DecoderConfig()).state_dict()
    assert len(state) == 105
    assert sum(t.numel() for t in state.values()) == 39_386_112
    shapes = {
        "to_token_embedding.weight": (1024, 1), "pos_embedding": (1, 1, 1024),
        "transformer.layers.5.0.fn.to_qkv.weight": (1536, 1024), "transformer.layers.5.0.fn.to_out.0.bias": (1024,),
        "transformer.layers.0.1.fn.to_q.weight": (512, 1024), "transformer.layers.0.1.fn.to_kv.weight": (1024, 1280),
        "transformer.layers.0.2.fn.net.0.weight": (1024, 1024), "transformer.layers.0.2.fn.net.3.bias": (1024,),
        "transformer.layers.0.2.norm.weight": (1024,),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
