"""LPIPS (Zhang et al. 2018, version 0.1) on the official weights, which the user brings.

Two files: a backbone of torchvision, and one non-negative weight a channel, which lies in the package ``lpips``. That
package is not imported: it wants torchvision.

Legend: B pictures, C channels, H x W px.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from model.renderer.perceptual.features import VGG16, AlexNet
from model.weights import load_into, read_checkpoint

log = logging.getLogger(__name__)

Net = Literal["alex", "vgg"]
Inputs = Literal["mapped", "unmapped"]
"""`mapped`: values in [0, 1] are mapped to [-1, 1], which the weights were made for. `unmapped`: they go in as they
are, as 3D Gaussian splatting and GUAVA train and report; such a number is comparable with theirs only."""

BACKBONES: dict[Net, type[AlexNet] | type[VGG16]] = {"alex": AlexNet, "vgg": VGG16}
LINEAR_SHA256: dict[Net, str] = {"alex": "df73285e35b2", "vgg": "a78928a0af1e"}
"""How the hashes of version 0.1's weights begin."""
DOWNLOADS = "https://download.pytorch.org/models"
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's statistics of colours in [-1, 1], to the digits of the official code."""
EPS = 1e-10


class LinearWeights(nn.ModuleDict):
    """One weight a channel of every tap, under the names of the official files."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        # The first place is that of a dropout in their training, which has no weights.
        models = [nn.Sequential(nn.Identity(), nn.Conv2d(num, 1, 1, bias=False)) for num in channels]
        super().__init__({f"lin{tap}": nn.Sequential(OrderedDict(model=model)) for tap, model in enumerate(models)})

    def forward(self, differences: list[Tensor]) -> Tensor:
        """Squared differences of each tap (B, C, H', W') -> weighted, meaned over pixels, summed over taps: (B,)."""
        layers = zip(self.values(), differences, strict=True)
        return torch.stack([layer(found).mean((1, 2, 3)) for layer, found in layers]).sum(0)


class LPIPS(nn.Module):
    """Learned perceptual distance of pictures, frozen. A checkpoint must not store its tensors: they are not ours."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: Net, *, inputs: Inputs = "mapped") -> None:
        super().__init__()
        self.inputs = inputs
        self.backbone = BACKBONES[net]()
        self.linear = LinearWeights(self.backbone.CHANNELS)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, picture: Tensor, target: Tensor) -> Tensor:
        """(B, 3, H, W) with values in [0, 1], twice -> distances (B,); 0 for equal pictures.

        Raises:
            ValueError: Not two batches of colour pictures of one shape, too small for the backbone, or of integers.
        """
        smallest = self.backbone.MIN_SIDE_PX
        if picture.dim() != 4 or picture.shape != target.shape or picture.shape[1] != 3:
            raise ValueError(
                f"expected two colour pictures of one shape (B, 3, H, W), got {tuple(picture.shape)} and "
                f"{tuple(target.shape)}"
            )
        if min(picture.shape[-2:]) < smallest:
            raise ValueError(
                f"LPIPS on {type(self.backbone).__name__} needs pictures of at least {smallest} px a side, got "
                f"{picture.shape[-2]} x {picture.shape[-1]}: draw or resize them larger"
            )
        if not (picture.is_floating_point() and target.is_floating_point()):
            raise ValueError(f"expected pictures of floats in [0, 1], got {picture.dtype} and {target.dtype}")
        # Squared differences of nearly equal features are below what autocast keeps.
        with torch.autocast(picture.device.type, enabled=False):
            pairs = zip(self._features(picture), self._features(target), strict=True)
            return self.linear([(ours - theirs).square() for ours, theirs in pairs])

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """Outputs of the taps, of length 1 over channels at each pixel."""
        pictures = pictures.to(self.mean.dtype)
        if self.inputs == "mapped":
            pictures = 2 * pictures - 1
        outputs = self.backbone((pictures - self.mean) / self.std)
        return [out / (torch.linalg.vector_norm(out, dim=1, keepdim=True) + EPS) for out in outputs]


def load_lpips(
    net: Net, backbone: Path | None, linear: Path | None = None, *, inputs: Inputs = "mapped"
) -> tuple[LPIPS, dict[str, str]]:
    """LPIPS with the weights of the user's files.

    Args:
        net: Which backbone.
        backbone: torchvision's file of it.
        linear: Official weights of the channels; None: those of the installed package ``lpips``.
        inputs: What the backbone is given.

    Returns:
        The network, on the CPU, and the SHA-256 of either file.

    Raises:
        ValueError: A file is not given, missing, unreadable, or of another network.
    """
    published = BACKBONES[net].FILE
    if backbone is None or not backbone.is_file():
        given = "no file of it is given" if backbone is None else f"{backbone} does not exist"
        raise ValueError(
            f"LPIPS needs torchvision's {published}, and {given}: get it from {DOWNLOADS}/{published}, or choose "
            "`ms-ssim`, which needs no file"
        )
    linear = linear or installed_linear(net)
    if linear is None or not linear.is_file():
        given = "it is not installed" if linear is None else f"{linear} does not exist"
        raise ValueError(
            f"LPIPS needs weights/v0.1/{net}.pth of the package lpips, and {given}: "
            "`pip install --no-deps lpips==0.1.4`, or give the path of that file"
        )
    network = LPIPS(net, inputs=inputs)
    hashes = {}
    prefixes = published.rpartition("-")[2].removesuffix(".pth"), LINEAR_SHA256[net]
    for part, path, sha256 in zip(("backbone", "linear"), (backbone, linear), prefixes, strict=True):
        file = read_checkpoint(path)
        load_into(getattr(network, part), file.tensors, path=path, ignore=("classifier.*",))
        if not file.sha256.startswith(sha256):
            log.warning("%s is not the published file (sha256 %s...): compare its LPIPS with no other", path, sha256)
        hashes[part] = file.sha256
    return network.eval().requires_grad_(False), hashes


def installed_linear(net: Net) -> Path | None:
    """Path of the weights in the installed package ``lpips``, found without importing it; None without the package."""
    spec = importlib.util.find_spec("lpips")
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(folders))) / "weights" / "v0.1" / f"{net}.pth" if folders else None
