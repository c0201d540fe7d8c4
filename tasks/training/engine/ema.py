"""A slow average of the weights: the network that is evaluated and given out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

WARM_UP_STEPS = 10
"""The decay after t steps is at most (1 + t) / (10 + t), so that the random start is soon forgotten (as in TensorFlow's
``ExponentialMovingAverage`` with `num_updates`)."""


class WeightAverage:
    """Exponential moving average of what is trained of a network: neither buffers nor frozen parameters.

    Args:
        network: Its weights are where the average starts; what is frozen of it stays frozen.
        decay: Share of the old average that a step keeps; 0 makes the average the network itself.

    Raises:
        ValueError: The decay is not in 0 .. 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay: expected 0 or more and below 1, got {decay}")
        self.decay = decay
        self.tensors = {
            name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the weights after the step of this number, which counts from 1."""
        decay = min(self.decay, (1 + step) / (WARM_UP_STEPS + step))
        parameters = dict(network.named_parameters())
        old = list(self.tensors.values())
        torch._foreach_lerp_(old, [parameters[name].detach() for name in self.tensors], 1 - decay)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over a stored average in place.

        Raises:
            KeyError: A weight is missing; ``checkpoints.load_state`` has checked that.
        """
        for name, value in self.tensors.items():
            value.copy_(tensors[name])

    @contextlib.contextmanager
    def applied_to(self, network: nn.Module) -> Iterator[None]:
        """The network has the averaged weights inside the block and its own after it; they change places, without a
        copy."""
        self._swap(network)
        try:
            yield
        finally:
            self._swap(network)

    def _swap(self, network: nn.Module) -> None:
        parameters = dict(network.named_parameters())
        for name, average in self.tensors.items():
            self.tensors[name], parameters[name].data = parameters[name].data, average
