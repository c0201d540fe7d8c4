"""The results of a finished training, put where people and DVC look for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.training.engine.prepared import TrainResult
from tasks.training.engine.publish import publish_files
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
    measures = (*_MEASURES, term)
    return publish_files(
        folder,
        output,
        name="guava",
        summary=measures,
        plotted=measures,
        baseline=RAW,
        nobody=HeldOutFrames(by_name={}).parquet,
        markdown=lambda found: _markdown(found.metrics, measures),
        sentence=lambda found: _outcome(Path(output.checkpoint), found.metrics, measures),
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
