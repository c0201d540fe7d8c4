"""The settings that every training has, whatever it trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from datasets_manifest.placed_settings import PathText
from datasets_manifest.settings import Share, read_settings
from model.execution import Precision
from tasks.settings import Device

Decay = Annotated[float, Field(ge=0, lt=1)]
"""What a running mean keeps of itself at a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """AdamW (Loshchilov and Hutter 2019) with a linear warm-up and, as a rule, clipped gradients."""

    lr: PositiveFloat = 1e-5
    """Learning rate after the warm-up."""
    backbone_lr_share: Share = 1.0
    """The learning rate of the backbone, or of what a training calls slow, as a share of `lr`; 0 keeps its weights as
    they are."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the first and the second moment."""
    weight_decay: NonNegativeFloat = 1e-4
    """On matrices and convolutions; biases, norms, position tables and tokens have none."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """``constant``; ``cosine`` or ``linear``: down to `final_lr_share` at the last step."""
    final_lr_share: Share = 0.01
    """What is left of `lr` at the end of a cosine or a line."""
    clip_norm: PositiveFloat | None = 1.0
    """Largest Euclidean norm of the whole gradient; a larger one is scaled down to it. null: none is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalConfig:
    """Steps between the things that a run does beside training."""

    log: PositiveInt = 50
    """Between two rows of the curve."""
    checkpoint: PositiveInt = 1000
    """Between two states that a run can go on from."""
    evaluate: PositiveInt = 5000
    """Between two evaluations on the validation people."""
    pictures: PositiveInt = 5000
    """Between two sheets of overlays."""
    keep: PositiveInt = 3
    """States that are kept, the newest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessConfig:
    """How the work is spread. Only `processes` times `batch_size` changes a result, but where blocks are dropped
    (`network.backbone.drop_path` above 0): each process draws its own, so then `processes` alone changes it as well."""

    processes: PositiveInt = 1
    """torchrun processes, one a GPU."""
    batch_size: PositiveInt = 40
    """People a step and process."""
    device: Device = "auto"
    """``cpu``, ``cuda``, or ``auto``: the GPU if there is one."""
    loader_workers: NonNegativeInt = 2
    """Processes that decode and cut, for each training process; 0 does it in between the steps."""
    threads: NonNegativeInt = 0
    """CPU threads of a training process; 0 shares the cores among them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """Where the results of a training go."""

    runs: PathText
    """One folder a run."""
    checkpoint: PathText
    """What the last finished run gives out."""
    metrics: PathText
    """All figures; the main ones go to ``summary/`` beside it."""
    curve: PathText
    """Losses by step, CSV."""
    evaluations: PathText
    """Held-out figures by step, CSV."""
    held_out: PathText
    """Figures of every held-out sample at the last evaluation, Parquet."""
    plot: PathText
    """Both curves as a picture."""
    overlays: PathText
    """The last sheet of held-out samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """What the engine reads of the settings of a training; those of an experiment extend it."""

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    """AdamW."""
    steps: PositiveInt = 200_000
    """Length of the training."""
    precision: Precision = "fp32"
    """``fp32``; ``tf32`` (matrix products of a GPU); ``bf16`` (the backbone, by autocast)."""
    ema_decay: Decay = 0.999
    """Share of the averaged weights that a step keeps."""
    seed: NonNegativeInt = 0
    """Of weights, order, augmentation and dropped blocks."""
    run: ProcessConfig = field(default_factory=ProcessConfig)
    """Processes."""
    every: IntervalConfig = field(default_factory=IntervalConfig)
    """Intervals in steps."""

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


SomeConfig = TypeVar("SomeConfig", bound=EngineConfig)


def to_plain(config: EngineConfig) -> dict[str, Any]:
    """All settings as JSON values; ``from_plain`` gives the same settings back."""
    return dataclasses.asdict(config)


def from_plain(values: Mapping[str, Any], kind: type[SomeConfig]) -> SomeConfig:
    """See ``to_plain``."""
    return read_settings(kind, values, "run.json")
