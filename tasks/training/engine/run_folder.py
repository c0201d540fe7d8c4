"""The folder of one training run, named by what decides its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HASH_CHARACTERS = 12

SENTENCE_MARK = "training: "
"""Begins the line of a process's output that says in a sentence why it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    """Where a run keeps its files. The same settings on the same labels have the same folder, so they go on there."""

    root: Path
    """``<output.runs>/<first characters of the run's hash>``."""
    network: str
    """What the trained network is called in file names."""

    @classmethod
    def of(cls, runs: Path | str, run_hash: str, network: str) -> RunFolder:
        """The folder of a run by its hash."""
        return cls(root=Path(runs) / run_hash[:HASH_CHARACTERS], network=network)

    @property
    def request(self) -> Path:
        """What the processes are told: settings and inputs as JSON."""
        return self.root / "run.json"

    @property
    def selection(self) -> Path:
        """The selected labels, Arrow IPC, which every process maps; there while the run has not finished."""
        return self.root / "selection.arrow"

    @property
    def checkpoints(self) -> Path:
        """Folder of the training states."""
        return self.root / "checkpoints"

    @property
    def curve(self) -> Path:
        """One JSON object a line and a logged step."""
        return self.root / "curve.jsonl"

    @property
    def evaluations(self) -> Path:
        """One JSON object a line and an evaluation."""
        return self.root / "evaluations.jsonl"

    @property
    def held_out(self) -> Path:
        """Errors of every validation sample at the last evaluation, Parquet."""
        return self.root / "held_out.parquet"

    @property
    def tensorboard(self) -> Path:
        """Folder for ``tensorboard --logdir``."""
        return self.root / "tensorboard"

    @property
    def pictures(self) -> Path:
        """Folder of the sample overlays."""
        return self.root / "pictures"

    @property
    def final(self) -> Path:
        """The network that is given out: averaged weights and metadata."""
        return self.root / f"{self.network}.safetensors"

    @property
    def newest(self) -> Path:
        """The network after the last evaluation, like ``final``: a run that is not finished can be tried out."""
        return self.root / f"{self.network}-newest.safetensors"

    @property
    def summary(self) -> Path:
        """What the finished run says of itself; written last, so its presence means finished."""
        return self.root / "summary.json"

    @property
    def failure(self) -> Path:
        """The sentence with which the last try ended, if it ended badly."""
        return self.root / "failure.txt"

    def picture(self, step: int) -> Path:
        """The overlays after a step."""
        return self.pictures / f"step-{step:08d}.png"
