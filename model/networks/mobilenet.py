"""MobileNetV3 "minimal": the backbones of TEASER and SMIRK, under the parameter names of timm.

The minimal variant has 3 x 3 kernels only, ReLU everywhere and no squeeze-excite. The weights come from TensorFlow:
strided convolutions pad as much as needed to cover the image ("same"), the odd pixel right and below, and the batch
norm has an epsilon of 1e-3.

Legend: B crops, C channels, H x W px.
"""

from __future__ import annotations

from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-3
"""Epsilon of TensorFlow's batch norm (timm: BN_EPS_TF_DEFAULT)."""
STEM_CHANNELS = 16

Block: TypeAlias = tuple[int, int, int]
"""Channels inside, channels out, stride. Without channels inside (0) it is a depthwise-separable block."""

SMALL: tuple[tuple[Block, ...], ...] = (
    ((0, 16, 2),),
    ((72, 24, 2), (88, 24, 1)),
    ((96, 40, 2), (240, 40, 1), (240, 40, 1)),
    ((120, 48, 1), (144, 48, 1)),
    ((288, 96, 2), (576, 96, 1), (576, 96, 1)),
)
"""Stages of timm's tf_mobilenetv3_small_minimal_100 before the last convolution."""
SMALL_FEATURES = 576
LARGE: tuple[tuple[Block, ...], ...] = (
    ((0, 16, 1),),
    ((64, 24, 2), (72, 24, 1)),
    ((72, 40, 2), (120, 40, 1), (120, 40, 1)),
    ((240, 80, 2), (200, 80, 1), (184, 80, 1), (184, 80, 1)),
    ((480, 112, 1), (672, 112, 1)),
    ((672, 160, 2), (960, 160, 1), (960, 160, 1)),
)
"""Stages of timm's tf_mobilenetv3_large_minimal_100 before the last convolution."""
LARGE_FEATURES = 960


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after a side of ``size`` px, as TensorFlow pads: ceil(size / stride) outputs cover it."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv(nn.Conv2d):
    """Convolution without bias that pads like TensorFlow."""

    def __init__(self, channels: int, out_channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out_channels, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(input.shape[-2], kernel, stride)
        left, right = same_padding(input.shape[-1], kernel, stride)
        if top == bottom and left == right:  # the convolution's own padding saves a copy of the image
            return F.conv2d(input, self.weight, None, stride, (top, left), 1, self.groups)
        return F.conv2d(F.pad(input, (left, right, top, bottom)), self.weight, None, stride, 0, 1, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPS)


class SeparableBlock(nn.Module):
    """Depthwise convolution, then a linear pointwise one."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv(channels, channels, 3, stride=stride, groups=channels)
        self.bn1 = _norm(channels)
        self.conv_pw = SameConv(channels, out_channels)
        self.bn2 = _norm(out_channels)
        self._adds = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        out = self.bn2(self.conv_pw(F.relu(self.bn1(self.conv_dw(x)))))
        return x + out if self._adds else out


class InvertedBlock(nn.Module):
    """Pointwise convolution to more channels, depthwise convolution, linear pointwise convolution."""

    def __init__(self, channels: int, inner: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv_pw = SameConv(channels, inner)
        self.bn1 = _norm(inner)
        self.conv_dw = SameConv(inner, inner, 3, stride=stride, groups=inner)
        self.bn2 = _norm(inner)
        self.conv_pwl = SameConv(inner, out_channels)
        self.bn3 = _norm(out_channels)
        self._adds = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv_pw(x)))
        out = F.relu(self.bn2(self.conv_dw(out)))
        out = self.bn3(self.conv_pwl(out))
        return x + out if self._adds else out


class PointwiseBlock(nn.Module):
    """Pointwise convolution with activation: the last of the backbone."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = SameConv(channels, out_channels)
        self.bn1 = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return F.relu(self.bn1(self.conv(x)))


class MobileNetV3Minimal(nn.Module):
    """Features of an image, without a classifier.

    Args:
        stages: ``SMALL`` or ``LARGE``.
        num_features: Channels of the last convolution.
    """

    def __init__(self, stages: tuple[tuple[Block, ...], ...], num_features: int) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM_CHANNELS, 3, stride=2)
        self.bn1 = _norm(STEM_CHANNELS)
        channels, built = STEM_CHANNELS, []
        for stage in stages:
            blocks: list[nn.Module] = []
            for inner, out, stride in stage:
                blocks.append(
                    InvertedBlock(channels, inner, out, stride) if inner else SeparableBlock(channels, out, stride)
                )
                channels = out
            built.append(nn.Sequential(*blocks))
        built.append(nn.Sequential(PointwiseBlock(channels, num_features)))
        self.blocks = nn.Sequential(*built)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_features, ceil(H / 32), ceil(W / 32))."""
        return self.blocks(F.relu(self.bn1(self.conv_stem(x))))


def small() -> MobileNetV3Minimal:
    """The small backbone: 576 features, 204 entries, no weights."""
    return MobileNetV3Minimal(SMALL, SMALL_FEATURES)


def large() -> MobileNetV3Minimal:
    """The large backbone: 960 features, 276 entries, no weights."""
    return MobileNetV3Minimal(LARGE, LARGE_FEATURES)
