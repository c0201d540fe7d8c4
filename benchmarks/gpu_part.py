"""What a part of ``benchmarks.gpu`` is, and what all of them are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks import inference
from benchmarks.inference_clock import Budget
from benchmarks.table import Column, Row
from model.regressor.config import BackboneConfig, RegressorConfig
from model.regressor.runtime import Precision

Job = tuple[str, Callable[[], list[Row]]]
"""Name, and what makes some rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What all parts are told."""

    device: torch.device
    """Where."""
    size: str
    """Of the regressor's backbone: ``tiny``, or one of ``VIT_SIZES``."""
    is_quick: bool
    """A check of the program: tiny networks, few people, few calls."""

    def pick(self, whole: Any, quick: Any) -> Any:
        """One of two values."""
        return quick if self.is_quick else whole

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those that are different here."""
        return ("fp32", "tf32", "bf16") if self.is_cuda else ("fp32",)

    @property
    def network(self) -> RegressorConfig:
        """Of the regressor."""
        return inference.TINY if self.size == "tiny" else RegressorConfig(backbone=BackboneConfig(size=self.size))

    @property
    def budget(self) -> Budget:
        """Of one call."""
        return self.pick(Budget(warm_up=5, calls=30, seconds=2.0), Budget(warm_up=1, calls=2, seconds=1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One table, or two of the same rows."""

    title: str
    """Heading."""
    limit_s: float
    """Seconds after which it is stopped."""
    jobs: Callable[[Settings], Iterator[Job]]
    """Its rows."""
    tables: Sequence[tuple[Column, ...]]
    """Columns."""
