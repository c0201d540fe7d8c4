"""What a flow knows of a training, whatever is trained: how it is started and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tasks.training.engine.checkpoints import is_finished
from tasks.training.engine.config import EngineConfig
from tasks.training.engine.run_folder import RunFolder


class Planned(Protocol):
    """What plan and experiment of a training know of it."""

    @property
    def config(self) -> EngineConfig:
        """All settings."""
        ...

    @property
    def run_hash(self) -> str:
        """Over everything that decides the result."""
        ...

    @property
    def folder(self) -> RunFolder:
        """Where the run keeps its files."""
        ...


class Plan(Planned, Protocol):
    """A training that may start: its inputs are there and fit each other."""

    def lines(self) -> Sequence[str]:
        """What will be done, for a log."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What a training came to."""

    folder: RunFolder
    """Everything that the run wrote."""
    checkpoint: Path
    """The network that is given out."""
    metrics: Mapping[str, Any]
    """Last loss and held-out errors."""
    plot: Path
    """Curves as a picture."""
    overlays: Path | None
    """The last sheet of overlays; None where nobody is drawn."""
    markdown: str
    """Curve and errors as tables."""
    sentence: str
    """The outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedRun:
    """A training that only has to be started."""

    module: str
    """What each of its processes runs (``tasks.training.engine.worker``)."""
    processes: int
    """How many there are."""
    folder: RunFolder
    """Where its request lies."""
    lines: Sequence[str]
    """What will be done, for a log."""
    is_finished: bool
    """Whether nothing is left to do; then there is no request."""
    publish: Callable[[], TrainResult]
    """Puts the results of the finished run where the settings say."""


def prepare_run(
    plan: Plan, module: str, write_request: Callable[[], None], publish: Callable[[], TrainResult]
) -> PreparedRun:
    """Has the request of a training written, unless it has finished already.

    Args:
        plan: What is trained.
        module: What each process runs.
        write_request: Writes into the run's folder what the processes are told.
        publish: Puts the results where the settings say.

    Raises:
        ValueError: The run has been trained beyond the steps of the settings.
    """
    prepared = PreparedRun(
        module=module,
        processes=plan.config.run.processes,
        folder=plan.folder,
        lines=plan.lines(),
        is_finished=is_finished(plan.folder, plan.config.steps),
        publish=publish,
    )
    if not prepared.is_finished:
        plan.folder.summary.unlink(missing_ok=True)
        write_request()
    return prepared
