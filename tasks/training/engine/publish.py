"""The results of a finished run, put where people and DVC look for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_bytes, write_text
from tasks.metric_files import write_summary
from tasks.training.engine.config import OutputConfig
from tasks.training.engine.curves import curve_plot_png, read_rows, rows_to_csv
from tasks.training.engine.prepared import TrainResult
from tasks.training.engine.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFigures:
    """What a finished run has measured."""

    metrics: dict[str, Any]
    """At its end."""
    rows: list[dict[str, Any]]
    """Of the curve."""
    evaluations: list[dict[str, Any]]
    """Of held-out samples."""


def publish_files(
    folder: RunFolder,
    output: OutputConfig,
    *,
    name: str,
    summary: Sequence[str],
    plotted: Sequence[str],
    baseline: str,
    nobody: Callable[[], bytes],
    markdown: Callable[[RunFigures], str],
    sentence: Callable[[RunFigures], str],
) -> TrainResult:
    """Copies what was trained, metrics and curves of a finished run to the places that the settings name.

    Args:
        folder: Of the run.
        output: The places.
        name: What the summary of the metrics is called.
        summary: Figures in it.
        plotted: Held-out figures that are drawn.
        baseline: Prefix of the figures beside which they are drawn.
        nobody: The file of held-out samples where there are none.
        markdown: The figures as tables.
        sentence: The outcome.

    Raises:
        ValueError: The run has not finished.
    """
    if not folder.summary.is_file():
        raise ValueError(f"the run in {folder.root} has not finished; run the same command again to go on")
    folder.selection.unlink(missing_ok=True)  # as large as the labels, from which it is made again
    metrics = json.loads(folder.summary.read_text(encoding="utf-8"))["metrics"]
    rows, evaluations = read_rows(folder.curve), read_rows(folder.evaluations)
    write_bytes(Path(output.checkpoint), folder.final.read_bytes())
    write_text(Path(output.metrics), json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    write_summary(output.metrics, name, {figure: metrics[figure] for figure in summary if figure in metrics})
    write_text(Path(output.curve), rows_to_csv(rows))
    # DVC wants both files even where nothing was held out.
    write_text(Path(output.evaluations), rows_to_csv(evaluations) if evaluations else "step\n")
    write_bytes(Path(output.held_out), folder.held_out.read_bytes() if folder.held_out.is_file() else nobody())
    write_bytes(Path(output.plot), curve_plot_png(rows, evaluations, plotted, baseline=baseline))
    pictures = sorted(folder.pictures.glob("step-*.png"))
    if pictures:
        write_bytes(Path(output.overlays), pictures[-1].read_bytes())
    figures = RunFigures(metrics=metrics, rows=rows, evaluations=evaluations)
    return TrainResult(
        folder=folder,
        checkpoint=Path(output.checkpoint),
        metrics=metrics,
        plot=Path(output.plot),
        overlays=Path(output.overlays) if pictures else None,
        markdown=markdown(figures),
        sentence=sentence(figures),
    )
