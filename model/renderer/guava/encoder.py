"""What the renderer sees in the source picture: a pyramid over DINOv2, read out as two maps and one vector.

Legend: B pictures, C channels, H = W the side of the maps.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.dinov2 import DinoV2
from model.renderer.guava.config import GuavaConfig

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1]."""
NUM_MAPS = 5
"""Blocks of the backbone that are read: the first for edges, the others for the pyramid."""


class Seen(NamedTuple):
    """What was seen."""

    texture_map: Tensor
    """(B, C, H, W), to be laid into the texture."""
    vertex_map: Tensor
    """(B, C', H, W), to be sampled at vertices."""
    whole: Tensor
    """(B, width of the backbone): its token of the top left patch, which was trained to stand for the picture."""


class ResidualUnit(nn.Module):
    """Two convolutions beside a shortcut, each after a ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return maps + self.conv2(F.relu(self.conv1(F.relu(maps))))


class Fusion(nn.Module):
    """A coarse map, with a finer one added, in a finer grid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(channels, channels, 1)
        self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)

    def forward(self, coarse: Tensor, fine: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w), twice -> (B, C, *size)."""
        if fine is not None:
            coarse = coarse + self.resConfUnit1(fine)
        return self.out_conv(resized(self.resConfUnit2(coarse), size))


def resized(maps: Tensor, size: tuple[int, int], *, antialias: bool = False) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=antialias)


class Encoder(nn.Module):
    """Source picture to features."""

    def __init__(self, config: GuavaConfig) -> None:
        super().__init__()
        self.side = (config.image_px, config.image_px)
        self.dino_model = DinoV2(config.dino).requires_grad_(False)
        levels, hidden = config.pyramid_channels, config.sampled_channels // 2
        self.projects = nn.ModuleList(nn.Conv2d(config.dino.width, level, 1) for level in levels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(levels[0], levels[0], 4, stride=4),
                nn.ConvTranspose2d(levels[1], levels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(levels[3], levels[3], 3, stride=2, padding=1),
            ]
        )
        self.layer_rn = nn.ModuleList(nn.Conv2d(level + 3, hidden, 3, padding=1, bias=False) for level in levels)
        self.refinenet = nn.ModuleList(Fusion(hidden) for _ in levels)
        self.project_l = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(config.dino.width, hidden, 3, padding=1, bias=False),
            nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True),
            nn.Conv2d(hidden, hidden // 2, 3, padding=1, bias=False),
        )
        self.fuse_l = nn.Sequential(
            nn.Conv2d(hidden + 3 + hidden // 2, hidden, 3, padding=1, bias=False),
            nn.LeakyReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
        )
        self.skip_l = nn.Conv2d(hidden + 3, hidden, 3, padding=1, bias=False)
        self.output_conv = nn.Conv2d(hidden, config.texture_channels, 3, padding=1)
        self.output_conv_2 = nn.Conv2d(hidden, config.sampled_channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Seen:
        """(B, 3, side, side) RGB in [0, 1], the side of the backbone -> features at the side of what is drawn."""
        mean, std = (picture.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        picture = (picture - mean) / std
        low, *maps = self.dino_model.last_blocks(picture, NUM_MAPS)
        rows = []
        for level, project, resize, reduce in zip(maps, self.projects, self.resize_layers, self.layer_rn, strict=True):
            level = resize(project(level))
            small = resized(picture, (level.shape[2], level.shape[3]), antialias=True)
            rows.append(reduce(torch.cat([small, level], 1)))
        sizes = [(row.shape[2], row.shape[3]) for row in rows]
        path = self.refinenet[0](rows[3], None, sizes[2])
        path = self.refinenet[1](path, rows[2], sizes[1])
        path = self.refinenet[2](path, rows[1], sizes[0])
        path = self.refinenet[3](path, rows[0], (2 * sizes[0][0], 2 * sizes[0][1]))
        path = torch.cat([resized(path, self.side), resized(picture, self.side)], 1)
        edges = resized(self.project_l(low), self.side)
        path = self.fuse_l(torch.cat([path, edges], 1)) + self.skip_l(path)
        return Seen(texture_map=self.output_conv(path), vertex_map=self.output_conv_2(path), whole=maps[-1][:, :, 0, 0])
