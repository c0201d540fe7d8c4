"""The perceptual term of a photometric loss: LPIPS, or what stands in for it, under the name of what it is.

It stands beside an L1 term. Legend: B pictures, H x W px, values in [0, 1].
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor, nn

from model.renderer.perceptual.lpips import LPIPS, Inputs, Net, load_lpips
from model.renderer.perceptual.similarity import ms_ssim_loss

log = logging.getLogger(__name__)

Kind = Literal["ms-ssim", "lpips-alex", "lpips-vgg"]
Batch = Literal["mean", "sum"]
NETS: dict[Kind, Net] = {"lpips-alex": "alex", "lpips-vgg": "vgg"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualConfig:
    """Which distance, by which convention."""

    kind: Kind = "ms-ssim"
    """``ms-ssim``: one minus a multi-scale SSIM, which needs no file. ``lpips-alex``, ``lpips-vgg``: LPIPS on the
    user's backbone."""
    inputs: Inputs = "mapped"
    """Of LPIPS only. ``mapped``: its backbone sees values in [-1, 1], as it should. ``unmapped``: values in [0, 1], as
    in 3D Gaussian splatting and GUAVA."""
    batch: Batch = "mean"
    """``mean`` over the pictures of a batch; ``sum``, as in GUAVA: the weight of the term then grows with the batch."""

    def __post_init__(self) -> None:
        for name, values in (("kind", get_args(Kind)), ("inputs", get_args(Inputs)), ("batch", get_args(Batch))):
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is one of {', '.join(values)}; got {getattr(self, name)!r}")
        if self.kind == "ms-ssim" and self.inputs != "mapped":
            raise ValueError(f"inputs: {self.inputs} is a convention of LPIPS, not of ms-ssim; leave it out")

    @property
    def name(self) -> str:
        """What values are called in curves, tables and logs; values of one name are comparable."""
        return self.kind if self.inputs == "mapped" else f"{self.kind}-{self.inputs}"


class Perceptual(nn.Module):
    """The term; see ``build_perceptual``."""

    def __init__(self, config: PerceptualConfig, network: LPIPS | None, hashes: dict[str, str]) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self._hashes = hashes

    @property
    def record(self) -> dict[str, str]:
        """What a checkpoint says of the term: name, settings, and the SHA-256 of the files that were read."""
        settings = dataclasses.asdict(self.config)
        if self.network is None:
            del settings["inputs"]
        return {"name": self.config.name, **settings, **{f"{part}_sha256": of for part, of in self._hashes.items()}}

    def of_each(self, picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distance of each picture, 0 for equal ones; differentiable.

        Args:
            picture: (B, 3, H, W).
            target: (B, 3, H, W).
            mask: (B, 1, H, W); pixels outside do not count. LPIPS gets them black in both pictures.

        Returns:
            (B,).

        Raises:
            ValueError: Shapes do not fit, or pictures are too small for LPIPS.
        """
        if self.network is None:
            return ms_ssim_loss(picture, target, mask)
        if mask is not None:
            picture, target = picture * mask, target * mask
        return self.network(picture, target)

    def forward(self, picture: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distance of a batch, by the convention of the settings; see ``of_each``."""
        each = self.of_each(picture, target, mask)
        return each.sum() if self.config.batch == "sum" else each.mean()


def build_perceptual(
    config: PerceptualConfig, *, backbone: str | Path | None = None, linear: str | Path | None = None
) -> Perceptual:
    """The term with its files read. There is no silent change from one kind to the other.

    Args:
        config: Which distance.
        backbone: torchvision's file of AlexNet or VGG16.
        linear: Official weights of LPIPS's channels; None: those of the installed package ``lpips``.

    Raises:
        ValueError: A file that LPIPS needs is missing or wrong, or files are given for ``ms-ssim``.
    """
    if config.kind == "ms-ssim":
        if backbone is not None or linear is not None:
            raise ValueError(f"ms-ssim reads no file, {backbone or linear} is given: choose lpips-alex or lpips-vgg")
        term = Perceptual(config, None, {})
    else:
        paths = (None if given is None else Path(given) for given in (backbone, linear))
        network, hashes = load_lpips(NETS[config.kind], *paths, inputs=config.inputs)
        term = Perceptual(config, network, hashes)
    log.info("perceptual term: %s", term.record)
    return term
