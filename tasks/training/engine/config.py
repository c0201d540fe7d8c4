"""The settings that every training has, whatever it trains."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tasks.training.engine.optimiser import OptimiserConfig

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalConfig:
    """Steps between the things that a run does beside training."""

    log: int = 50
    """Between two rows of the curve."""
    checkpoint: int = 1000
    """Between two states that a run can go on from."""
    evaluate: int = 5000
    """Between two evaluations on the validation people."""
    pictures: int = 5000
    """Between two sheets of overlays."""
    keep: int = 3
    """States that are kept, the newest."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if getattr(self, f.name) < 1:
                raise ValueError(f"{f.name}: expected at least 1, got {getattr(self, f.name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessConfig:
    """How the work is spread. Only `processes` times `batch_size` changes a result, but where blocks are dropped
    (`network.backbone.drop_path` above 0): each process draws its own, so then `processes` alone changes it as well."""

    processes: int = 1
    """torchrun processes, one a GPU."""
    batch_size: int = 40
    """People a step and process."""
    device: str = "auto"
    """``cpu``, ``cuda``, or ``auto``: the GPU if there is one."""
    loader_workers: int = 2
    """Processes that decode and cut, for each training process; 0 does it in between the steps."""
    threads: int = 0
    """CPU threads of a training process; 0 shares the cores among them."""

    def __post_init__(self) -> None:
        for name in ("processes", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("loader_workers", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device: expected auto, cpu or cuda, got {self.device!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """What the engine reads of the settings of a training; those of an experiment extend it."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    """AdamW."""
    steps: int = 200_000
    """Length of the training."""
    precision: str = "fp32"
    """``fp32``; ``tf32`` (matrix products of a GPU); ``bf16`` (the backbone, by autocast)."""
    ema_decay: float = 0.999
    """Share of the averaged weights that a step keeps."""
    seed: int = 0
    """Of weights, order, augmentation and dropped blocks."""
    run: ProcessConfig = field(default_factory=ProcessConfig)
    """Processes."""
    every: IntervalConfig = field(default_factory=IntervalConfig)
    """Intervals in steps."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: expected at least 1, got {self.steps}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: expected 0 or more and below 1, got {self.ema_decay}")
        if self.seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {self.seed}")

    @property
    def global_batch(self) -> int:
        """People of a step, all processes together."""
        return self.run.processes * self.run.batch_size

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, as plain values: not how the work is spread, nor what is written when.

        The length counts only where the learning rate depends on it, so that a finished run can be made longer.
        """
        values = dataclasses.asdict(self)
        for name in ("run", "every"):
            values.pop(name)
        values["global_batch"] = self.global_batch
        if self.optimiser.schedule == "constant":
            values.pop("steps")
        return values
