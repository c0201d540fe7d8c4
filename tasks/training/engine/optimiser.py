"""AdamW over the network's weights, and its learning rate at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """AdamW (Loshchilov and Hutter 2019) with a linear warm-up and clipped gradients."""

    lr: float = 1e-5
    """Learning rate after the warm-up."""
    backbone_lr_share: float = 1.0
    """The backbone's learning rate as a share of `lr`; 0 keeps its weights as they are."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the first and the second moment."""
    weight_decay: float = 1e-4
    """On matrices and convolutions; biases, norms, position tables and tokens have none."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    schedule: str = "constant"
    """``constant``, or ``cosine``: down to `final_lr_share` at the last step."""
    final_lr_share: float = 0.01
    """What is left of `lr` at the end of a cosine."""
    clip_norm: float = 1.0
    """Largest Euclidean norm of the whole gradient; a larger one is scaled down to it."""

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr: expected more than 0, got {self.lr}")
        if not 0 <= self.backbone_lr_share <= 1:
            raise ValueError(f"backbone_lr_share: expected a share from 0 to 1, got {self.backbone_lr_share}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: expected two figures from 0 to below 1, got {self.betas}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay: expected 0 or more, got {self.weight_decay}")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps: expected 0 or more, got {self.warmup_steps}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if not 0 <= self.final_lr_share <= 1:
            raise ValueError(f"final_lr_share: expected a share from 0 to 1, got {self.final_lr_share}")
        if not self.clip_norm > 0:
            raise ValueError(f"clip_norm: expected more than 0, got {self.clip_norm}")


def learning_rate(config: OptimiserConfig, step: int, num_steps: int) -> float:
    """The learning rate of a step.

    Args:
        config: See there.
        step: Counted from 0.
        num_steps: Length of the whole training.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return config.lr * warm
    turn = 0.5 * (1 + math.cos(math.pi * min(1.0, (step + 1) / num_steps)))
    return config.lr * warm * (config.final_lr_share + (1 - config.final_lr_share) * turn)


def build_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained, in groups with and without weight decay.

    Each group has ``share``, its learning rate as a share of that of the step.

    Raises:
        ValueError: No parameter is left to train.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        share = config.backbone_lr_share if "backbone." in name else 1.0
        if share == 0:
            parameter.requires_grad_(False)
        if not parameter.requires_grad:
            continue
        is_matrix = parameter.dim() > 1 and "pos_embed" not in name and "token" not in name
        groups.setdefault((share, config.weight_decay if is_matrix else 0.0), []).append(parameter)
    if not groups:
        raise ValueError("no parameter is left to train")
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "share": share}
            for (share, decay), parameters in groups.items()
        ],
        lr=config.lr,
        betas=config.betas,
        fused=True,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Gives every group its share of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["share"]
