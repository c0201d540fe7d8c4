"""What the first process of a training writes down while it runs: curves, and lines for the log."""

from __future__ import annotations

import datetime
import logging
import time
from dataclasses import dataclass
from typing import Any

from tasks.training.engine.curves import Curve, Writer, open_writer
from tasks.training.engine.run_folder import RunFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """The curves of a run."""

    curve: Curve
    """Losses by step."""
    evaluations: Curve
    """Held-out errors by step."""
    writer: Writer | None
    """Both for TensorBoard, where it is installed."""

    @classmethod
    def open(cls, folder: RunFolder, first: int) -> Records:
        """Goes on with the curves after a step; what they say of later ones is removed."""
        writer = open_writer(folder.tensorboard, first)
        if writer is None:
            log.warning("no TensorBoard curves: the extra `train` is not installed; the curve is in %s", folder.curve)
        return cls(
            curve=Curve(folder.curve, first),
            evaluations=Curve(folder.evaluations, first or -1),  # what was told before the first step is told again
            writer=writer,
        )


@dataclass(kw_only=True, slots=True)
class Clock:
    """Speed and time left."""

    first_step: int
    """Steps that were done at the start."""
    num_steps: int
    """Steps in all."""
    _started: float = 0.0

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    def line(self, step: int, row: dict[str, Any], people: int) -> str:
        """A line for the log.

        Args:
            step: Steps that are done.
            row: ``loss``, ``grad_norm`` and ``lr``.
            people: People of a step.
        """
        elapsed = time.perf_counter() - self._started
        a_step = elapsed / max(step - self.first_step, 1)
        left = datetime.timedelta(seconds=round(a_step * (self.num_steps - step)))
        return (
            f"[{step}/{self.num_steps}] loss {row['loss']:.5g}, gradient {row['grad_norm']:.3g}, lr {row['lr']:.3g}, "
            f"{people / a_step:.1f} people/s, {left} left"
        )
