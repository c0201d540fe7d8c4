"""Checkpoints of TEASER and SMIRK in the publishers' layout, with random weights of a sensible size."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from model.estimators.teaser.network import FaceEncoder


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights under which signals neither vanish nor grow, with batch norms that do something."""
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=random)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.weight.data.uniform_(0.7, 1.1, generator=random)
            module.bias.data.normal_(0, 0.1, generator=random)
            module.running_mean.normal_(0, 0.1, generator=random)
            module.running_var.uniform_(0.8, 2.0, generator=random)
        elif isinstance(module, nn.Linear):
            module.weight.data.normal_(0, 0.02, generator=random)
            module.bias.data.normal_(0, 0.05, generator=random)
    return network


def face_tensors(name: str, seed: int = 0) -> dict[str, Tensor]:
    """The flat dict of tensors in ``TEASER.pt`` (``teaser``) or ``SMIRK_em1.pt`` (``smirk``), generator included."""
    tensors = {f"{name}_encoder.{key}": value.clone() for key, value in _encoder(name == "teaser", seed).items()}
    return tensors | {f"{name}_generator.encoder1.enc1conv1.weight": torch.zeros(2, 3)}


@lru_cache(maxsize=4)
def _encoder(tokens: bool, seed: int) -> dict[str, Tensor]:
    return randomise(FaceEncoder(tokens=tokens), seed).state_dict()
