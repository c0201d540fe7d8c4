"""Vision transformer of ViTPose, HMR2 and HaMeR, under the parameter names of their checkpoints.

It differs from the plain ViT in three ways: the patch convolution pads by 2 px, there is no class token in the sequence
but its former position is added to every token, and a last norm closes the stack.

Legend: B images, H x W px, N = H/16 * W/16 tokens, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn, zeros

from model.networks.sizes import PATCH_PX, STEM_SHARES, VIT_SIZES, ViTConfig

NORM_EPS = 1e-6
PATCH_PADDING_PX = 2
MLP_RATIO = 4
PATCH_STD = 0.02
"""Deviation of a random patch convolution: with Xavier weights the pixels would outshout the position table."""
TABLE_BASE = 1e4
"""Longest wave of the position table, in patches, over 2 pi (Vaswani et al. 2017)."""


def heads_of_width(width: int) -> int:
    """Attention heads of a published network of this width, which its weights do not tell; else 64 channels a head."""
    known = {config.width: config.heads for config in VIT_SIZES.values()}
    return known.get(width, max(1, width // 64))


class Attention(nn.Module):
    """Self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention and MLP, each normed before and added; in training both are skipped for a share of the images."""

    def __init__(self, width: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, MLP_RATIO * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        tokens = tokens + self._skipped(self.attn(self.norm1(tokens)))
        return tokens + self._skipped(self.mlp(self.norm2(tokens)))

    def _skipped(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al. 2016): zero for a share of the images, larger for the others."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)


class PatchEmbedding(nn.Module):
    """Image to tokens, row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_PX, stride=PATCH_PX, padding=PATCH_PADDING_PX)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.proj(images).flatten(2).transpose(1, 2)


class ConvolutionalStem(nn.Module):
    """Image to tokens, row by row, by four convolutions that halve the picture each.

    The last is even-sided, so that a token looks about 16 i + 4, close to the 16 i + 5.5 of a padded patch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3, *(width // share for share in STEM_SHARES)]
        kernels = (3, 3, 3, 4)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(source, target, kernel, stride=2, padding=1)
            for source, target, kernel in zip(channels[:-1], channels[1:], kernels, strict=True)
        )

    def initialise(self) -> None:
        """Each layer keeps the variance of what it is given (He et al. 2015)."""
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            nn.init.kaiming_normal_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        seen = images.contiguous(memory_format=torch.channels_last)
        *inner, last = self.convolutions
        for convolution in inner:
            seen = F.gelu(convolution(seen))
        return last(seen).flatten(2).transpose(1, 2)


def sine_cosine_table(rows: int, columns: int, width: int) -> Tensor:
    """Positions of a grid of patches (rows * columns, width): a half of the channels for the row, one for the column.

    Of each half, one part is sines and one cosines, of wave lengths in geometric progression.

    Raises:
        ValueError: The width is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"a sine-cosine position table needs a width that is a multiple of 4, got {width}")
    rate = TABLE_BASE ** -(torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * rate for place in (row, column)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)


class ViT(nn.Module):
    """Vision transformer: normalised RGB image to tokens."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = (PatchEmbedding if config.stem == "patches" else ConvolutionalStem)(config.width)
        self.pos_embed = nn.Parameter(zeros(1, config.num_tokens + 1, config.width))
        shares = [config.drop_path * block / max(1, config.depth - 1) for block in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config.width, config.heads, share) for share in shares)
        self.last_norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def initialise(self) -> None:
        """Random weights to train from, as MAE starts (He et al. 2022): Xavier linear layers, a sine-cosine table.

        The position table says from the first step which patch is where; normal numbers of deviation 0.02, ViTPose's
        own start, are drowned by the patches, and so are weights of that deviation in a narrow network.
        """
        rows, columns = (side // PATCH_PX for side in self.config.image_size)
        with torch.no_grad():
            self.pos_embed.zero_()
            self.pos_embed[0, 1:] = sine_cosine_table(rows, columns, self.config.width)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        if isinstance(self.patch_embed, ConvolutionalStem):
            self.patch_embed.initialise()
            return
        nn.init.trunc_normal_(self.patch_embed.proj.weight, std=PATCH_STD)
        if self.patch_embed.proj.bias is not None:
            nn.init.zeros_(self.patch_embed.proj.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C).

        Raises:
            ValueError: The images have another size than the position table.
        """
        if tuple(images.shape[-2:]) != self.config.image_size:
            raise ValueError(
                f"vision transformer: expected images of {self.config.image_size}, got {tuple(images.shape[-2:])}"
            )
        tokens = self.patch_embed(images) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        return self.last_norm(tokens)
