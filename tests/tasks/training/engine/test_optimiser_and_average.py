"""Learning rate, weight decay groups, and the averaged weights."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from tasks.training.engine.config import OptimiserConfig
from tasks.training.engine.ema import WeightAverage
from tasks.training.engine.optimiser import build_optimiser, learning_rate, set_learning_rate


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 3)
        self.head = nn.Linear(3, 2)
        self.pos_embed = nn.Parameter(torch.ones(1, 4, 3))


def test_the_rate_rises_in_a_line_and_falls_to_its_share() -> None:
    config = OptimiserConfig(lr=2.0, warmup_steps=4, schedule="cosine", final_lr_share=0.1)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.5, rel=0.01)
    assert max(rates) == rates[3]
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))
    assert rates[-1] == pytest.approx(0.2)


def test_a_constant_rate_does_not_know_the_length() -> None:
    config = OptimiserConfig(lr=2.0)
    assert {learning_rate(config, step, length) for step in range(5) for length in (5, 50)} == {2.0}


def test_only_matrices_decay_and_the_backbone_has_its_share() -> None:
    net = Net()
    optimiser = build_optimiser(net, OptimiserConfig(lr=1.0, weight_decay=0.5, backbone_lr_share=0.1))
    set_learning_rate(optimiser, 2.0)
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups for p in g["params"]}
    assert found[id(net.head.weight)] == (2.0, 0.5)
    assert found[id(net.head.bias)] == (2.0, 0.0)
    assert found[id(net.pos_embed)] == (2.0, 0.0)
    assert found[id(net.backbone.weight)] == (0.2, 0.5)


def test_a_share_of_zero_freezes_the_backbone() -> None:
    net = Net()
    optimiser = build_optimiser(net, OptimiserConfig(backbone_lr_share=0.0))
    assert not net.backbone.weight.requires_grad
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 3


def test_the_average_is_the_plain_recursion() -> None:
    torch.manual_seed(0)
    net = Net()
    average = WeightAverage(net, 0.9)
    expected = net.head.weight.detach().clone()
    for step in range(1, 60):
        with torch.no_grad():
            net.head.weight.copy_(torch.randn(2, 3))
        average.update(net, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * net.head.weight.detach()
    torch.testing.assert_close(average.tensors["head.weight"], expected)
    own = net.head.weight.detach().clone()
    with average.applied_to(net):
        torch.testing.assert_close(net.head.weight.detach(), expected)
    assert torch.equal(net.head.weight.detach(), own)
    torch.testing.assert_close(average.tensors["head.weight"], expected)


def test_a_decay_of_zero_is_the_network_itself() -> None:
    net = Net()
    average = WeightAverage(net, 0.0)
    with torch.no_grad():
        net.head.weight.fill_(3.0)
    average.update(net, 5)
    assert torch.equal(average.tensors["head.weight"], net.head.weight.detach())
