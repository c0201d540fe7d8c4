"""The results of a finished training, put where people and DVC look for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_bytes, write_text
from tasks.metric_files import write_summary
from tasks.training.engine.curves import curve_plot_png, read_rows, rows_to_csv
from tasks.training.engine.prepared import TrainResult
from tasks.training.engine.run_folder import RunFolder
from tasks.training.guava.evaluation import RAW, HeldOutFrames
from tasks.training.guava.settings import GuavaOutputConfig

_MEASURES = ("psnr_db", "ssim")


def publish_run(folder: RunFolder, output: GuavaOutputConfig, term: str) -> TrainResult:
    """Copies networks, metrics and curves of a finished run to the places that the settings name.

    Args:
        folder: Of the run.
        output: The places.
        term: What the perceptual term is called.

    Raises:
        ValueError: The run has not finished.
    """
    if not folder.summary.is_file():
        raise ValueError(f"the run in {folder.root} has not finished; run the same command again to go on")
    folder.selection.unlink(missing_ok=True)  # as large as the labels, from which it is made again
    metrics = json.loads(folder.summary.read_text(encoding="utf-8"))["metrics"]
    rows, evaluations = read_rows(folder.curve), read_rows(folder.evaluations)
    measures = (*_MEASURES, term)
    write_bytes(Path(output.checkpoint), folder.final.read_bytes())
    write_text(Path(output.metrics), json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    write_summary(output.metrics, "guava", {name: metrics[name] for name in measures if name in metrics})
    write_text(Path(output.curve), rows_to_csv(rows))
    # DVC wants both files even where nothing was held out.
    write_text(Path(output.evaluations), rows_to_csv(evaluations) if evaluations else "step\n")
    held_out = folder.held_out.read_bytes() if folder.held_out.is_file() else HeldOutFrames(by_name={}).parquet()
    write_bytes(Path(output.held_out), held_out)
    write_bytes(Path(output.plot), curve_plot_png(rows, evaluations, measures, baseline=RAW))
    pictures = sorted(folder.pictures.glob("step-*.png"))
    if pictures:
        write_bytes(Path(output.overlays), pictures[-1].read_bytes())
    return TrainResult(
        folder=folder,
        checkpoint=Path(output.checkpoint),
        metrics=metrics,
        plot=Path(output.plot),
        overlays=Path(output.overlays) if pictures else None,
        markdown=_markdown(metrics, measures),
        sentence=_outcome(Path(output.checkpoint), metrics, measures),
    )


def _outcome(checkpoint: Path, metrics: Mapping[str, Any], measures: tuple[str, ...]) -> str:
    said = f"{checkpoint}: {metrics['step']} steps, loss {metrics['loss']:.4g}"
    found = [f"{name} {metrics[name]:.4g} ({metrics[RAW + name]:.4g})" for name in measures if name in metrics]
    if not found:
        return f"{said}; nothing was held out."
    return f"{said}; held-out frames from another one, in brackets before the refiner: {', '.join(found)}."


def _markdown(metrics: Mapping[str, Any], measures: tuple[str, ...]) -> str:
    lines = [f"# GUAVA after {metrics['step']} steps", ""]
    if any(name in metrics for name in measures):
        lines += ["| held out | drawn | before the refiner |", "|:--|--:|--:|"]
        lines += [f"| {name} | {metrics[name]:.4g} | {metrics[RAW + name]:.4g} |" for name in measures]
    return "\n".join(lines) + "\n"
