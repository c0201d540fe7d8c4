"""What a run says of its course: rows of figures on disk, and TensorBoard if it is installed.

A row is written once and never changed. A run that goes on from a checkpoint first drops the rows that the checkpoint
does not know of, so that the curve of a run which was killed is the curve of one which was not.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from datasets_manifest.files import write_text

Row = Mapping[str, float | int | str | None]


class Writer(Protocol):
    """What is used of TensorBoard's ``SummaryWriter``."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """One point."""

    def close(self) -> None:
        """Writes what is left."""


class Curve:
    """Rows of one file, each with a ``step`` that rises.

    Args:
        path: File with one JSON object a line.
        last_step: Rows of later steps are dropped: they belong to steps that will be done again.

    Raises:
        ValueError: The file holds something else.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = [row for row in read_rows(path) if row["step"] <= last_step]
        write_text(path, "".join(f"{json.dumps(row)}\n" for row in self.rows))

    def append(self, row: Row) -> None:
        """Adds a row; it is on disk when this returns."""
        self.rows.append(dict(row))
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(dict(row), allow_nan=False)}\n")
            file.flush()
            os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a curve; none if there is no file. A last line that was cut off by a crash is left out.

    Raises:
        ValueError: Another line is no JSON object with a step.
    """
    if not path.is_file():
        return []
    rows = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            if not isinstance(row["step"], int):
                raise TypeError
        except (json.JSONDecodeError, TypeError, KeyError):
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: expected a JSON object with a step; delete the file") from None
        rows.append(row)
    return rows


def rows_to_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV, with the columns of all of them; what a row has not is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class Meter:
    """Means over the steps since the last logged one; part of a checkpoint, so that they survive a crash."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Counts one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def take(self) -> dict[str, float]:
        """The means, and starts anew."""
        means = {name: total / max(self._count, 1) for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``from_dict`` makes the very same meter."""
        return {"sums": dict(self._sums), "count": self._count}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Meter:
        """See ``to_dict``."""
        meter = cls()
        meter._sums, meter._count = dict(values["sums"]), int(values["count"])
        return meter


def open_writer(folder: Path, first_step: int) -> Writer | None:
    """TensorBoard's writer; points behind `first_step` are drawn anew. None without the extra ``train``."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return SummaryWriter(str(folder), purge_step=first_step + 1, flush_secs=30)  # type: ignore[return-value]


def write_row(writer: Writer | None, group: str, row: Row) -> None:
    """Gives the numbers of a row to TensorBoard as ``<group>/<name>``."""
    if writer is None:
        return
    for name, value in row.items():
        if name != "step" and isinstance(value, int | float):
            writer.add_scalar(f"{group}/{name}", float(value), int(row["step"]))  # type: ignore[arg-type]


def curve_plot_png(rows: Sequence[Row], evaluations: Sequence[Row], measures: Iterable[str], *, baseline: str) -> bytes:
    """Loss and held-out errors against the step, as a picture.

    Args:
        rows: Of the training curve, with ``loss``.
        evaluations: Of the held-out samples, each with the measures and ``<baseline><measure>`` beside.
        measures: The columns to draw.
        baseline: Prefix of the figures that the network is compared with.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measures = [name for name in measures if any(row.get(name) is not None for row in evaluations)]
    figure = Figure(figsize=(4.2 * (1 + len(measures)), 3.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    loss, *rest = figure.subplots(1, 1 + len(measures), squeeze=False)[0]
    loss.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#1e6eff", linewidth=1)
    loss.set(title="training loss", xlabel="step")
    if rows and min(float(row["loss"] or 0) for row in rows) > 0:
        loss.set_yscale("log")
    for axes, name in zip(rest, measures, strict=True):
        drawn = [row for row in evaluations if row.get(name) is not None]
        steps = [row["step"] for row in drawn]
        axes.plot(steps, [row[name] for row in drawn], color="#1e6eff", marker="o", markersize=3, label="network")
        known = [row.get(f"{baseline}{name}") for row in drawn]
        axes.plot(steps, known, color="#ff8014", linestyle="--", label=baseline.replace("_", " ").strip())
        axes.set(title=f"held out: {name}", xlabel="step", ylim=(0, None))
        axes.legend()
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()


def non_finite(values: Mapping[str, float]) -> list[str]:
    """Names of the values that are not finite."""
    checked = torch.tensor(list(values.values()), dtype=torch.float64)
    return [name for name, good in zip(values, torch.isfinite(checked).tolist(), strict=True) if not good]


def named_values(names: Sequence[str], values: Tensor) -> dict[str, float]:
    """A vector that came from the device in one piece, by name."""
    return dict(zip(names, values.tolist(), strict=True))
