"""Latencies of calls that take turns, and the least time that a device could need."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import timed
from model.execution import Precision
from model.regressor.runtime import numerics

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long to measure."""

    warm_up: int = 20
    """Calls that do not count, each method."""
    calls: int = 50
    """Timed calls, each method."""
    seconds: float = 60.0
    """No new round begins after so long, from the fifth on; a quarter of it for the warm-up, from the third on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Seconds of a call."""

    median: float
    """Of the timed calls."""
    p95: float
    """95th percentile."""
    calls: int
    """How many were timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """What a device reaches in this run."""

    flops: float
    """Floating-point operations a second, large matrix product."""
    bytes: float
    """Bytes a second, read or written, large copy."""

    def floor(self, work: "Work") -> float:
        """Seconds below which a call cannot come: all its products at the peak, or all its bytes moved once."""
        return max(work.flops / self.flops, work.bytes / self.bytes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a call cannot do without."""

    flops: float
    """Of its products."""
    bytes: float
    """Weights, arguments and results, once each."""


def latencies(calls: Mapping[str, Call], device: torch.device, budget: Budget) -> dict[str, Latency]:
    """Time methods in turns, so that whatever else the machine does meets all of them.

    In a turn a method runs twice and the second run counts: the first finds the caches as another method left them.
    """
    begin = time.perf_counter()
    for done in range(budget.warm_up):
        if done >= 2 and time.perf_counter() - begin > budget.seconds / 4:
            break
        for call in calls.values():
            call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for done in range(budget.calls):
        if done >= 5 and time.perf_counter() - begin > budget.seconds:
            break
        for name, call in calls.items():
            call()
            found[name].append(timed(call, device)[1])
    return {name: latency_of(values) for name, values in found.items()}


def latency_of(seconds: list[float]) -> Latency:
    """Median and 95th percentile of timed calls."""
    values = torch.tensor(seconds, dtype=torch.float64)
    median, p95 = torch.quantile(values, torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
    return Latency(median=median, p95=p95, calls=len(seconds))


def peak_of(device: torch.device, precision: Precision, *, quick: bool = False) -> Peak:
    """Measure a square matrix product and a copy of 256 MB (64 MB on a CPU; `quick`: so small that it tells little)."""
    side, floats = (8192, 64 << 20) if device.type == "cuda" else (1536, 16 << 20)
    if quick:
        side, floats = 256, 1 << 18
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, source = torch.randn(side, side, device=device).to(kind), torch.randn(floats, device=device)
    target = torch.empty_like(source)
    with torch.no_grad(), numerics(precision, device):
        product = latencies({"mm": lambda: one @ one}, device, Budget(warm_up=3, calls=10, seconds=10))["mm"]
    copy = latencies({"copy": lambda: target.copy_(source)}, device, Budget(warm_up=3, calls=10, seconds=10))["copy"]
    return Peak(flops=2 * side**3 / product.median, bytes=2 * 4 * floats / copy.median)


def flops_of(call: Call) -> float:
    """Of the matrix products and convolutions of one call; plain attention, since a CPU's fused kernel has no count."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def bytes_of(tensors: list[Tensor]) -> float:
    """Of all of them."""
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))
