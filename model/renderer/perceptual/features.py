"""AlexNet and VGG16 up to their last convolution, under the parameter names of torchvision's files.

Legend: B pictures, C channels, H x W px.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn


class _Features(nn.Module):
    """Layers one after another, some of which are looked at."""

    FILE: ClassVar[str]
    """torchvision's file, whose name ends with how its SHA-256 begins."""
    TAPS: ClassVar[tuple[int, ...]]
    """Layers (each a ReLU) whose output LPIPS compares."""
    CHANNELS: ClassVar[tuple[int, ...]]
    """Channels of those outputs."""
    MIN_SIDE_PX: ClassVar[int]
    """Smallest side of a picture of which the last tap sees anything."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> outputs of the taps, each (B, C, H', W')."""
        outputs = []
        for place, layer in enumerate(self.features):
            pictures = layer(pictures)
            if place in self.TAPS:
                outputs.append(pictures)
        return outputs


class AlexNet(_Features):
    """Five convolutions of Krizhevsky's second, one-tower network (2014)."""

    FILE = "alexnet-owt-7be5be79.pth"
    TAPS = (1, 4, 7, 9, 11)
    CHANNELS = (64, 192, 384, 256, 256)
    MIN_SIDE_PX = 31

    def __init__(self) -> None:
        super().__init__(
            [
                *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
            ]
        )


class VGG16(_Features):
    """Thirteen 3 x 3 convolutions (configuration D), without batch norm."""

    FILE = "vgg16-397923af.pth"
    TAPS = (3, 8, 15, 22, 29)
    CHANNELS = (64, 128, 256, 512, 512)
    MIN_SIDE_PX = 16

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 3
        for channels, num_convolutions in zip(self.CHANNELS, (2, 2, 3, 3, 3), strict=True):
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(num_convolutions):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
        super().__init__(layers)
