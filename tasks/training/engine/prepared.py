"""What a flow knows of a training, whatever is trained: how it is started and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.training.engine.run_folder import RunFolder


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
