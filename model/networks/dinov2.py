"""Vision transformer of DINOv2 without registers, under the parameter names of its published files.

Legend: B images, H x W px, N = H/14 * W/14 patches, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.networks.vit import MLP_RATIO, NORM_EPS, Attention, Mlp

DINO_PATCH_PX = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class DinoConfig:
    """Size of the network; the defaults are those of ViT-B/14."""

    width: int = 768
    """Channels of a token."""
    depth: int = 12
    """Number of blocks."""
    heads: int = 12
    """Attention heads a block."""
    side_px: int = 518
    """Side of the square images that the position table is for."""

    def __post_init__(self) -> None:
        if self.side_px < DINO_PATCH_PX or self.side_px % DINO_PATCH_PX:
            raise ValueError(f"DINOv2: side_px must be a multiple of {DINO_PATCH_PX}, got {self.side_px}")
        if self.depth < 1 or self.heads < 1 or self.width % self.heads:
            raise ValueError(
                f"DINOv2: expected a depth of at least 1 and a width that its heads divide, got depth {self.depth}, "
                f"width {self.width}, heads {self.heads}"
            )

    @property
    def patches(self) -> int:
        """Patches along a side."""
        return self.side_px // DINO_PATCH_PX


DINO_B = DinoConfig()
"""ViT-B/14 as it is published."""


class LayerScale(nn.Module):
    """A learnt factor a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return tokens * self.gamma


class DinoBlock(nn.Module):
    """Attention and MLP, each normed before, scaled and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, MLP_RATIO * width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class DinoPatches(nn.Module):
    """Image to tokens, row by row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, DINO_PATCH_PX, stride=DINO_PATCH_PX)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.proj(images).flatten(2).transpose(1, 2)


class DinoV2(nn.Module):
    """Normalised square RGB images to tokens."""

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = DinoPatches(config.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.patches**2, config.width))
        self.mask_token = nn.Parameter(torch.zeros(1, config.width))  # of its own training; no image needs it
        self.blocks = nn.ModuleList(DinoBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def last_blocks(self, images: Tensor, count: int) -> list[Tensor]:
        """Patch tokens after each of the last blocks, normed.

        Args:
            images: (B, 3, side, side), ImageNet's mean and deviation removed.
            count: How many blocks.

        Returns:
            `count` maps (B, C, patches, patches), the last block's last.

        Raises:
            ValueError: The images have another size than the position table.
        """
        side = self.config.side_px
        if tuple(images.shape[-2:]) != (side, side):
            raise ValueError(f"DINOv2: expected images of {side} x {side} px, got {tuple(images.shape[-2:])}")
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), self.patch_embed(images)], 1) + self.pos_embed
        found = []
        for block in self.blocks:
            tokens = block(tokens)
            found.append(tokens)
        maps = (self.norm(tokens)[:, 1:].transpose(1, 2) for tokens in found[-count:])
        return [tokens.unflatten(2, (self.config.patches, self.config.patches)) for tokens in maps]
