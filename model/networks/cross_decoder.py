"""Transformer decoder of HMR2 and HaMeR: one token that looks at an image's tokens, under upstream's parameter names.

Legend: B images, T decoder tokens of D channels, N image tokens of C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn, zeros

from model.networks.sizes import DecoderConfig

HEAD_WIDTH = 64
"""Channels of an attention head (dim_head)."""


def _split(tensor: Tensor, parts: int, heads: int) -> Tensor:
    """(B, N, parts * heads * 64) -> (parts, B, heads, N, 64)."""
    return tensor.unflatten(-1, (parts, heads, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)


class _Attention(nn.Module):
    """Where heads meet again."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # The second entry is a dropout upstream; it is there for the names.
        self.to_out = nn.Sequential(nn.Linear(heads * HEAD_WIDTH, width), nn.Identity())

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, heads, T, 64) queries, (B, heads, N, 64) keys and values -> (B, T, D)."""
        return self.to_out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class SelfAttention(_Attention):
    """Tokens look at each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.to_qkv = nn.Linear(width, 3 * heads * HEAD_WIDTH, bias=False)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D); the context is not used."""
        query, key, value = _split(self.to_qkv(tokens), 3, self.heads)
        return self.attend(query, key, value)


class CrossAttention(_Attention):
    """Tokens look at the image.

    Keys and values are linear in the context, so both layers are moved to the other side of the products with it: a
    query times a key is the query turned into a context vector times the context, and a mean of values is the value of
    the mean context. With a few tokens this takes T * heads * C multiplications a context vector instead of 128 * heads
    * C, and neither keys nor values are ever held.
    """

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__(width, heads)
        self.to_kv = nn.Linear(context_width, 2 * heads * HEAD_WIDTH, bias=False)
        self.to_q = nn.Linear(width, heads * HEAD_WIDTH, bias=False)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) context -> (B, T, D)."""
        (query,) = _split(self.to_q(tokens), 1, self.heads)
        to_key, to_value = self.to_kv.weight.unflatten(0, (2, self.heads, HEAD_WIDTH))
        # By einsum, which takes all people of a head at once: `@` copies the weights for every person.
        asked = torch.einsum("bhtd,hdc->bhtc", query, to_key).flatten(1, 2)
        read = F.scaled_dot_product_attention(asked, context, context, scale=HEAD_WIDTH**-0.5)
        value = torch.einsum("bhtc,hdc->bhtd", read.unflatten(1, (self.heads, -1)), to_value)
        return self.to_out(value.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with a GELU; entries 2 and 4 are dropouts upstream."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D); the context is not used."""
        return self.net(tokens)


class PreNorm(nn.Module):
    """A norm before a function of tokens and context, and the way around both."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) context -> (B, T, D)."""
        return tokens + self.fn(self.norm(tokens), context)


class Layers(nn.Module):
    """Self-attention, cross-attention and feed-forward network, several times."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                PreNorm(config.width, fn)
                for fn in (
                    SelfAttention(config.width, config.heads),
                    CrossAttention(config.width, config.heads, config.context_width),
                    FeedForward(config.width, config.hidden),
                )
            )
            for _ in range(config.depth)
        )

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) tokens, (B, N, C) context -> (B, T, D)."""
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            for part in layer:
                tokens = part(tokens, context)
        return tokens


class CrossDecoder(nn.Module):
    """One decoder token that reads an image's tokens."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.to_token_embedding = nn.Linear(1, config.width)
        self.pos_embedding = nn.Parameter(zeros(1, 1, config.width))
        self.transformer = Layers(config)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, 1, 1) inputs, (B, N, C) image tokens -> (B, 1, D)."""
        return self.transformer(self.to_token_embedding(tokens) + self.pos_embedding, context)
