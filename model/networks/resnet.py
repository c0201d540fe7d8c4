"""ResNet with bottlenecks and without classifier, under torchvision's parameter names. It never downloads anything.

Legend: B images, H x W px.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4
"""Channels out of a bottleneck in channels inside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNetConfig:
    """Size of a residual network; the defaults are ResNet-50."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Bottlenecks of each of the four stages."""
    width: int = 64
    """Channels of the first convolution."""

    def __post_init__(self) -> None:
        if len(self.blocks) != 4 or min(self.blocks) < 1 or self.width < 1:
            raise ValueError(f"residual network: expected four stages of blocks, got {self.blocks}, width {self.width}")

    @property
    def num_features(self) -> int:
        """Channels of the result."""
        return self.width * 2 ** (len(self.blocks) - 1) * EXPANSION


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (with the stride) and 1 x 1 convolution, added to the input."""

    def __init__(self, channels: int, inside: int, stride: int) -> None:
        super().__init__()
        out = inside * EXPANSION
        self.conv1 = nn.Conv2d(channels, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 inside, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Normalised RGB image to the mean of its features."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(3, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width)
        channels = config.width
        for stage, num in enumerate(config.blocks):
            inside, blocks = config.width * 2**stage, []
            for block in range(num):
                blocks.append(Bottleneck(channels, inside, 2 if block == 0 and stage > 0 else 1))
                channels = inside * EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_features)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        for stage in range(len(self.config.blocks)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x.mean((2, 3))
