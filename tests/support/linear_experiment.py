"""Not a test: the smallest experiment of the training engine, a linear regression with dropout.

python -m linear_experiment <run.json> trains it, alone or under torchrun.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import write_text
from datasets_manifest.settings import read_settings
from model.tensor_file import pack
from tasks.training.engine.broken_rows import BrokenRow
from tasks.training.engine.config import EngineConfig, IntervalConfig, OptimiserConfig, ProcessConfig
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.run_folder import RunFolder
from tasks.training.engine.worker import main

NUM_INPUTS = 5
TRUTH = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearConfig(EngineConfig):
    """Settings of the regression."""

    noise: float = 0.01
    """Of the targets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearBatch:
    """B points."""

    inputs: Tensor
    """(B, 5)."""
    targets: Tensor
    """(B,)."""
    sample_ids: tuple[str, ...]
    """Names of the points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Points by position."""

    length: int
    seed: int
    noise: float
    max_broken_share: float = 0.0

    def __len__(self) -> int:
        return self.length

    def find(self, position: int) -> tuple[int, tuple[BrokenRow, ...]]:
        """A point is its number."""
        return position % self.length, ()

    def collate(self, samples: Sequence[int]) -> LinearBatch:
        """The points of some numbers."""
        drawn = np.stack([np.random.default_rng([self.seed, k]).normal(size=NUM_INPUTS + 1) for k in samples])
        values = torch.from_numpy(drawn).float()
        targets = values[:, :NUM_INPUTS] @ TRUTH + self.noise * values[:, NUM_INPUTS]
        return LinearBatch(inputs=values[:, :NUM_INPUTS], targets=targets, sample_ids=tuple(f"p{k}" for k in samples))


class Line(nn.Module):
    """Mean squared error of a linear function with dropped inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(NUM_INPUTS, 1)
        self.drop = nn.Dropout(0.1)

    def forward(self, batch: LinearBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the same as its only term."""
        loss = (self.line(self.drop(batch.inputs))[:, 0] - batch.targets).square().mean()
        return loss, {"squares": loss.detach()}


@dataclass(frozen=True, kw_only=True, slots=True)
class LineErrors:
    """Absolute error of each held-out point."""

    by_name: Mapping[str, float]

    @property
    def figures(self) -> dict[str, float | int | None]:
        """Their mean and number."""
        return {"points": len(self.by_name), "error": float(np.mean(list(self.by_name.values())))}

    @property
    def sentence(self) -> str:
        """The mean."""
        return f"error {self.figures['error']:.3f}"

    def parquet(self) -> bytes:
        """One row a point."""
        names = sorted(self.by_name)
        data = io.BytesIO()
        pq.write_table(pa.table({"sample_id": names, "error": [self.by_name[name] for name in names]}), data)
        return data.getvalue()


class LinearExperiment:
    """The regression as an experiment.

    Args:
        config: All settings.
        runs: Below it the run keeps its files.
    """

    def __init__(self, config: LinearConfig, runs: Path) -> None:
        self.config = config
        self.run_hash = config_hash(config.deciding())
        self.folder = RunFolder.of(runs, self.run_hash, "line")
        self.settings = dataclasses.asdict(config)
        self.training = Points(length=64, seed=config.seed, noise=config.noise)
        self.validation = Points(length=100, seed=config.seed + 1, noise=0.0)
        self.reaches_every_weight = True
        self.begins_trained = False

    def objective(self) -> Line:
        """Random weights."""
        torch.manual_seed(self.config.seed)
        return Line()

    def evaluate(self, objective: Line, batches: Iterable[LinearBatch], group: ProcessGroup) -> LineErrors:
        """Absolute errors."""
        own: dict[str, float] = {}
        for batch in batches:
            errors = (objective.line(batch.inputs)[:, 0] - batch.targets).abs()
            own |= dict(zip(batch.sample_ids, errors.tolist(), strict=True))
        return LineErrors(by_name={name: error for share in group.all_gather(own) for name, error in share.items()})

    def draw(self, objective: Line) -> bytes | None:
        """There is nothing to see."""
        return None

    def export(self, objective: Line, step: int, metrics: Mapping[str, Any]) -> bytes:
        """The weights."""
        return pack(objective.state_dict(), {"step": step, "metrics": dict(metrics)})


def linear_config(**changes: Any) -> LinearConfig:
    """A training of a second."""
    stated: dict[str, Any] = {
        "steps": 200,
        "optimiser": OptimiserConfig(lr=0.05, weight_decay=0.0),
        "run": ProcessConfig(batch_size=8, device="cpu", loader_workers=0, threads=1),
        "every": IntervalConfig(log=1, checkpoint=20, evaluate=50, pictures=100),
    }
    return LinearConfig(**{**stated, **changes})


def write_request(experiment: LinearExperiment) -> Path:
    """The request of a run, in its folder."""
    write_text(experiment.folder.request, json.dumps(experiment.settings))
    return experiment.folder.request


def open_experiment(request: Path) -> LinearExperiment:
    """The experiment of a request."""
    config = read_settings(LinearConfig, json.loads(request.read_text()), "run.json")
    return LinearExperiment(config, request.parent.parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_experiment))
