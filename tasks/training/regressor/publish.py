"""The results of a finished run, put where people and DVC look for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.regressor.unseen import UNSEEN_MEASURES
from tasks.training.engine.prepared import TrainResult
from tasks.training.engine.publish import publish_files
from tasks.training.engine.run_folder import RunFolder
from tasks.training.regressor.evaluation import MEAN_POSE, PLACES, TOLD, HeldOut, joined, said
from tasks.training.regressor.settings import TrainConfig, TrainOutputConfig

PLOTTED = ("pa_mpjpe_mm", "hand_pa_pve_mm", "head_posed_mm", "head_pa_mm", *PLACES.values())
"""Held-out errors that are drawn."""
HEADLINES = {
    "pa_mpjpe_mm": "PA-MPJPE of the body",
    "hand_pa_pve_mm": "PA-PVE of the hands",
    "head_pa_mm": "of the head",
    **{name: f"{part.replace('_', ' ')} off its place, of its square," for part, name in PLACES.items()},
}
"""Held-out errors of the closing sentence, in words; all of them are in the metrics and in the table of the page."""
_SUMMARY = (*HEADLINES, *UNSEEN_MEASURES)
"""Figures for ``dvc metrics show``."""
_SHOWN_ROWS = 12


def publish_run(folder: RunFolder, output: TrainOutputConfig, name: str = TrainConfig.section) -> TrainResult:
    """Copies network, metrics and curves of a finished run to the places that the settings name.

    Args:
        folder: Of the run.
        output: The places.
        name: What the summary of the metrics is called.

    Raises:
        ValueError: The run has not finished.
    """
    return publish_files(
        folder,
        output,
        name=name,
        summary=_SUMMARY,
        plotted=PLOTTED,
        baseline=MEAN_POSE,
        nobody=lambda: HeldOut(network=joined([]), mean_pose=joined([])).parquet(),
        markdown=lambda found: run_markdown(found.metrics, found.rows, found.evaluations),
        sentence=lambda found: outcome(Path(output.checkpoint), found.metrics, found.evaluations),
    )


def outcome(checkpoint: Path, metrics: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Where the network is, its last loss, and its main held-out errors beside those that it began with, or, if it
    began with nothing learnt, those of the mean pose."""
    trained = f"{checkpoint}: {metrics['step']} steps, loss {metrics['loss']:.4g}"
    first = evaluations[0] if evaluations and not evaluations[0]["step"] else None
    words, known = "what the mean pose gives", {name: metrics.get(MEAN_POSE + name) for name in HEADLINES}
    if first is not None:
        words, known = "before the first step", {name: first[name] for name in HEADLINES}
    errors = [
        f"{of} {said(name, metrics[name])}{' mm' if name.endswith('_mm') else ''} ({said(name, known[name])})"
        for name, of in HEADLINES.items()
        if name in metrics
    ]
    if not errors:
        return f"{trained}; nothing was held out."
    return f"{trained}; held-out people, in brackets {words}: {', '.join(errors)}."


def run_markdown(metrics: Mapping[str, Any], rows: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> str:
    """Held-out errors beside those of the mean pose, and the loss at some steps."""
    lines = [f"# Regressor after {metrics['step']} steps", ""]
    if any(name in metrics for name in TOLD):
        lines += ["| held out | network | mean pose |", "|:--|--:|--:|"]
        lines += [
            f"| {name} | {said(name, metrics[name])} | {said(name, metrics[MEAN_POSE + name])} |"
            for name in TOLD
            if name in metrics
        ]
        lines.append("")
    by_step = {row["step"]: row for row in evaluations}
    losses = {row["step"]: row["loss"] for row in rows}
    shown = list(by_step) or list(losses)
    shown = shown[:: max(1, -(-len(shown) // _SHOWN_ROWS))]
    lines += [f"| step | loss | {' | '.join(PLOTTED)} |", f"|--:|--:|{'--:|' * len(PLOTTED)}"]
    for step in shown:
        found = by_step.get(step, {})
        figures = (said(name, found[name]) if found.get(name) is not None else "" for name in PLOTTED)
        loss = f"{losses[step]:.4g}" if step in losses else ""
        lines.append(f"| {step} | {loss} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"
