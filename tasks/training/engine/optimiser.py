"""AdamW over the network's weights, and its learning rate at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from tasks.training.engine.config import OptimiserConfig


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
    done = min(1.0, (step + 1) / num_steps)
    turn = 1 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return config.lr * warm * (config.final_lr_share + (1 - config.final_lr_share) * turn)


def build_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained, in groups with and without weight decay.

    Each group has ``share``, its learning rate as a share of that of the step. Weights whose names have one of the
    parts that the network lists as ``slow_weights`` are the slow ones, else those of a backbone.

    Raises:
        ValueError: No parameter is left to train.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    slow: Sequence[str] = getattr(network, "slow_weights", ("backbone.",))
    for name, parameter in network.named_parameters():
        share = config.backbone_lr_share if any(part in name for part in slow) else 1.0
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
