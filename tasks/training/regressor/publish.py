"""The results of a finished run, put where people and DVC look for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_bytes, write_text
from model.regressor.unseen import UNSEEN_MEASURES
from tasks.metric_files import write_summary
from tasks.training.engine.curves import curve_plot_png, read_rows, rows_to_csv
from tasks.training.engine.prepared import TrainResult
from tasks.training.engine.run_folder import RunFolder
from tasks.training.regressor.evaluation import MEAN_POSE, PLACES, TOLD, HeldOut, joined, said
from tasks.training.regressor.settings import TrainConfig, TrainOutputConfig

PLOTTED = ("pa_mpjpe_mm", "hand_pa_pve_mm", "head_posed_mm", "head_pa_mm", *PLACES.values())
"""Held-out errors that are drawn."""
_HEADLINES = {
    "pa_mpjpe_mm": "PA-MPJPE of the body",
    "hand_pa_pve_mm": "PA-PVE of the hands",
    "head_pa_mm": "of the head",
    **{name: f"{part.replace('_', ' ')} off its place, of its square," for part, name in PLACES.items()},
}
"""Held-out errors of the closing sentence, in words; all of them are in the metrics and in the table of the page."""
_SUMMARY = (*_HEADLINES, *UNSEEN_MEASURES)
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
    if not folder.summary.is_file():
        raise ValueError(f"the run in {folder.root} has not finished; run the same command again to go on")
    folder.selection.unlink(missing_ok=True)  # as large as the labels, from which it is made again
    metrics = json.loads(folder.summary.read_text(encoding="utf-8"))["metrics"]
    rows, evaluations = read_rows(folder.curve), read_rows(folder.evaluations)
    write_bytes(Path(output.checkpoint), folder.final.read_bytes())
    write_text(Path(output.metrics), json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    write_summary(output.metrics, name, {figure: metrics[figure] for figure in _SUMMARY if figure in metrics})
    write_text(Path(output.curve), rows_to_csv(rows))
    # DVC wants both files even where nothing was held out.
    write_text(Path(output.evaluations), rows_to_csv(evaluations) if evaluations else "step\n")
    nobody = HeldOut(network=joined([]), mean_pose=joined([]))
    people = folder.held_out.read_bytes() if folder.held_out.is_file() else nobody.parquet()
    write_bytes(Path(output.held_out), people)
    write_bytes(Path(output.plot), curve_plot_png(rows, evaluations, PLOTTED, baseline=MEAN_POSE))
    pictures = sorted(folder.pictures.glob("step-*.png"))
    if pictures:
        write_bytes(Path(output.overlays), pictures[-1].read_bytes())
    return TrainResult(
        folder=folder,
        checkpoint=Path(output.checkpoint),
        metrics=metrics,
        plot=Path(output.plot),
        overlays=Path(output.overlays) if pictures else None,
        markdown=run_markdown(metrics, rows, evaluations),
        sentence=outcome(Path(output.checkpoint), metrics, evaluations),
    )


def outcome(checkpoint: Path, metrics: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Where the network is, its last loss, and its main held-out errors beside those that it began with, or, if it
    began with nothing learnt, those of the mean pose."""
    trained = f"{checkpoint}: {metrics['step']} steps, loss {metrics['loss']:.4g}"
    first = evaluations[0] if evaluations and not evaluations[0]["step"] else None
    words, known = "what the mean pose gives", {name: metrics.get(MEAN_POSE + name) for name in _HEADLINES}
    if first is not None:
        words, known = "before the first step", {name: first[name] for name in _HEADLINES}
    errors = [
        f"{of} {said(name, metrics[name])}{' mm' if name.endswith('_mm') else ''} ({said(name, known[name])})"
        for name, of in _HEADLINES.items()
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
