"""The regressor: one crop to all parameters of EHM-s and the crop's camera.

A vision transformer turns the crop into tokens, one zero token reads them through cross-attention (HMR2), and two heads
add linear read-outs of it to mean parameters: the SMPL-X head says body, hands, shape and camera, the FLAME head all of
the face.

Legend: B crops of C x C px, D channels of the decoder's token, S, F, E numbers of SMPL-X shape, FLAME shape and
expression coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.body.parameters import EhmParameters
from model.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from model.networks.cross_decoder import CrossDecoder
from model.networks.vit import ViT
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import (
    FLAME_READOUTS,
    SMPLX_READOUTS,
    MeanParameters,
    check_mean,
    neutral,
    people_of,
)

READOUT_GAIN = 0.01
"""Gain of the read-outs' Xavier weights in HMR2: an untrained network says the mean."""
POSITION_STD = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What the regressor says about B crops."""

    parameters: EhmParameters
    """B people, relative to the cameras of their crops."""
    camera: Tensor
    """(B, 3) s, tx, ty: the pelvis is at (tx, ty, 2 focal_sides / s) m; ``model.imaging.crop_camera`` projects."""


def normalise(crops: Tensor) -> Tensor:
    """uint8 RGB crops (B, 3, H, W) -> float32, mean 0 and deviation 1 over ImageNet; on the device of the crops.

    Raises:
        ValueError: Not (B, 3, H, W) of uint8.
    """
    if crops.dtype != torch.uint8 or crops.ndim != 4 or crops.shape[1] != 3:
        raise ValueError(f"crops: expected (B, 3, H, W) of uint8, got {tuple(crops.shape)} of {crops.dtype}")
    found = crops.to(torch.float32, memory_format=torch.contiguous_format)
    # Numbers instead of a tensor of means: nothing has to be copied to the device.
    for channel, mean, std in zip(found.unbind(1), IMAGENET_MEAN, IMAGENET_STD, strict=True):
        channel.mul_(1 / (255 * std)).sub_(mean / std)
    return found


class Readout(nn.Module):
    """A linear layer whose result is added to a mean."""

    mean: Tensor

    def __init__(self, width: int, mean: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(width, mean.numel())
        self.register_buffer("mean", mean.detach().clone().float())
        nn.init.xavier_uniform_(self.linear.weight, gain=READOUT_GAIN)
        nn.init.zeros_(self.linear.bias)

    def forward(self, read: Tensor) -> Tensor:
        """(B, D) -> (B, *shape of the mean)."""
        return self.mean + self.linear(read).unflatten(-1, self.mean.shape)


def _readouts(width: int, mean: MeanParameters, names: tuple[str, ...]) -> nn.ModuleDict:
    return nn.ModuleDict({name: Readout(width, mean[name]) for name in names})


class EhmRegressor(nn.Module):
    """Normalised RGB crop to EHM-s parameters; the backbone has random weights until it is given others."""

    def __init__(self, config: RegressorConfig, mean: MeanParameters | None = None) -> None:
        """Builds the network.

        Args:
            config: Its size.
            mean: What the read-outs are added to; None is ``neutral``. It is kept like weights.

        Raises:
            ValueError: The mean parameters are of another size.
        """
        super().__init__()
        mean = neutral(config) if mean is None else mean
        check_mean(mean, config)
        self.config = config
        self.backbone = ViT(config.vit)
        self.backbone.initialise()
        self.decoder = CrossDecoder(config.cross_decoder)
        nn.init.trunc_normal_(self.decoder.pos_embedding, std=POSITION_STD)
        self.smplx_head = _readouts(config.decoder.width, mean, SMPLX_READOUTS)
        self.flame_head = _readouts(config.decoder.width, mean, FLAME_READOUTS)

    def forward(self, crops: Tensor) -> Prediction:
        """(B, 3, C, C) crops from ``normalise`` -> parameters of B people.

        The backbone may be of another type than the heads, or under autocast; all behind it works in the heads' own
        type (float32): the 6D rotations need it.

        Raises:
            ValueError: The crops have another size, or are not normalised yet.
        """
        side, cut = self.config.crop_px, self.config.side_px
        if tuple(crops.shape[1:]) != (3, side, side) or not crops.is_floating_point():
            raise ValueError(
                f"regressor: expected normalised float crops of (B, 3, {side}, {side}), got {tuple(crops.shape)} of "
                f"{crops.dtype}"
            )
        tokens = self.backbone(crops[..., cut : side - cut].to(self.backbone.pos_embed.dtype))
        if not _has_autocast(tokens):
            return self.heads(tokens)
        with torch.autocast(tokens.device.type, enabled=False):
            return self.heads(tokens)

    def heads(self, tokens: Tensor) -> Prediction:
        """(B, N, C) tokens of the backbone -> parameters of B people."""
        tokens = tokens.to(self.decoder.pos_embedding.dtype)
        read = self.decoder(tokens.new_zeros(len(tokens), 1, 1), tokens)[:, 0]
        said = {name: readout(read) for name, readout in self._named_readouts() if name != "camera"}
        return Prediction(parameters=people_of(said), camera=self.smplx_head["camera"](read))

    @property
    def mean(self) -> MeanParameters:
        """What the read-outs are added to."""
        return {name: readout.get_buffer("mean") for name, readout in self._named_readouts()}

    def _named_readouts(self) -> Iterator[tuple[str, nn.Module]]:
        yield from self.smplx_head.items()
        yield from self.flame_head.items()


def _has_autocast(tensor: Tensor) -> bool:
    """The meta device, where shapes are tried out, has no autocast."""
    return torch.amp.is_autocast_available(tensor.device.type)
