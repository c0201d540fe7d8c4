"""The end of a run: check the labels as a whole, count, measure, draw the page.

Everything here is made from the files on disk, so it can be repeated at any time and says the same.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.files import write_text
from datasets_manifest.schema.evidence import EVIDENCE_COLUMNS, unpack_arrays
from datasets_manifest.schema.labels import KEYPOINTS_SCHEMA, LABEL_SCHEMA, PART_NAMES, Status
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.sources.images import ImageError
from model.renderer.overlay import encode_png, side_colours
from tasks.annotate.failures import Failure, failures_csv
from tasks.annotate.job import ShardJob
from tasks.annotate.photos import PhotoReader
from tasks.annotate.plan import DatasetPlan
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.status import planned_shards
from tasks.annotate.step import StepTimes
from tasks.annotate.workspace import Workspace
from tasks.body_model import full_body
from tasks.evaluate.label_errors import (
    acceptance,
    keypoint_errors,
    match_people,
    projected_keypoints,
    reference_inventory,
    summarise,
    truth_errors,
)
from tasks.report.page import draw_label, write_report

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What a run published."""

    people: int
    """Rows."""
    states: dict[str, int]
    """Rows by status."""
    metrics: dict[str, Any]
    """What ``dvc metrics show`` prints."""
    report: Path | None
    """The page a person looks at; None without labels."""
    failures_csv: Path
    """Every failed shard and row."""
    worst_overlay: bytes | None
    """PNG of the worst samples; None without labels."""
    warning: str
    """Why the labels folder as a whole is no snapshot; empty if it is one."""

    @property
    def sentence(self) -> str:
        """The counts, for a log."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return f"{self.people} people: {counts or 'none'}. Report: {self.report or 'none'}."


def publish(
    workspace: Workspace,
    config: AnnotateConfig,
    plans: Sequence[DatasetPlan],
    failures: Sequence[Failure],
    times: Mapping[str, StepTimes],
) -> Publication:
    """Checks and describes the labels of a run.

    Args:
        workspace: Where files are.
        config: All settings.
        plans: The run's data sets.
        failures: What has no label, see ``tasks.annotate.failures``.
        times: What each step cost, for ``work/run.json``.

    Returns:
        The publication; its warning says if the labels folder mixes settings or has a person twice, as it does while
        some shards of changed settings are still to be done.
    """
    report = Path(config.output.report)
    csv_path = report / "failures.csv"
    write_text(csv_path, failures_csv(failures))
    _write_times(workspace, times)
    rows = {plan.manifest.id: _labels_of(plan, workspace).to_pylist() for plan in plans}
    if not any(rows.values()):
        metrics = {dataset: {"people": 0} for dataset in rows}
        write_text(Path(config.output.metrics), json.dumps(metrics, indent=2, sort_keys=True) + "\n")
        return Publication(
            people=0,
            states={},
            metrics=metrics,
            report=None,
            failures_csv=csv_path,
            worst_overlay=None,
            warning="",
        )
    metrics = {dataset: _dataset_metrics(rows[dataset]) for dataset in rows if rows[dataset]}
    for plan in plans:
        if rows[plan.manifest.id]:
            metrics[plan.manifest.id] |= _known_errors(plan, rows[plan.manifest.id], workspace, config)
    write_text(Path(config.output.metrics), json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    _draw(report, plans, workspace, config)
    states = Counter(row["status"] for dataset in rows.values() for row in dataset)
    return Publication(
        people=sum(states.values()),
        states=dict(states),
        metrics=metrics,
        report=report / "index.html",
        failures_csv=csv_path,
        worst_overlay=_worst_overlay(rows, workspace, plans, config),
        warning=_snapshot_problem(workspace),
    )


def _snapshot_problem(workspace: Workspace) -> str:
    """Why the labels folder may not be used as a whole; empty if it may."""
    try:
        check_snapshot(workspace.labels)
    except ValueError as error:
        return str(error)
    return ""


def _labels_of(plan: DatasetPlan, workspace: Workspace) -> pa.Table:
    """All rows of a data set's finished shards."""
    paths = [workspace.step_path("refine", shard) for shard in plan.shards]
    tables = [read_shard(path, LABEL_SCHEMA) for path in paths if path.is_file()]
    return pa.concat_tables(tables) if tables else LABEL_SCHEMA.empty_table()


def _dataset_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts, accepted parts and reprojection errors of one data set."""
    states = Counter(row["status"] for row in rows)
    labelled = [row for row in rows if row["status"] != Status.FAILED]
    metrics: dict[str, Any] = {"people": len(rows)} | {str(state): states[state] for state in Status}
    if not labelled:
        return metrics
    metrics["accepted"] = {
        part: round(float(np.mean([r[f"{part}_valid"] for r in labelled])), 4) for part in PART_NAMES
    }
    metrics["reprojection_median_px"] = {
        part: round(float(np.median(values)), 3)
        for part in PART_NAMES
        if (values := [row[f"reproj_{part}_px"] for row in labelled if row[f"reproj_{part}_px"] is not None])
    }
    relative = [row["reproj_rel"] for row in labelled if row["reproj_rel"] is not None]
    if relative:
        metrics["reprojection_rel"] = {
            "median": round(float(np.median(relative)), 5),
            "p95": round(float(np.percentile(relative, 95)), 5),
        }
    metrics["converged"] = round(float(np.mean([bool(row["converged"]) for row in labelled])), 4)
    metrics["quality_median"] = round(float(np.median([row["quality"] for row in labelled])), 4)
    return metrics


def _trusted_groups(plan: DatasetPlan, workspace: Workspace) -> dict[str, np.ndarray]:
    """Which limbs the keypoint estimator trusts, by sample_id, where it says so."""
    trusted: dict[str, np.ndarray] = {}
    for shard in plan.shards:
        path = workspace.step_path("keypoints", shard)
        if path.is_file():
            table = read_shard(path, KEYPOINTS_SCHEMA, ["sample_id", *EVIDENCE_COLUMNS])
            groups = unpack_arrays(table).get("body_group_valid")
            if groups is not None:
                is_stated = np.isfinite(groups).all(1)
                ids = table["sample_id"].to_numpy()
                trusted |= dict(zip(ids[is_stated], groups[is_stated] > 0, strict=True))
    return trusted


def _known_errors(
    plan: DatasetPlan, rows: Sequence[Mapping[str, Any]], workspace: Workspace, config: AnnotateConfig
) -> dict[str, Any]:
    """Errors against what the data set knows: misses, 3D errors of synthetic people, 2D errors of annotated ones."""
    reference = reference_inventory(plan.manifest)
    if reference is None:
        return {}
    matching = match_people(rows, reference.records)
    body = full_body(config.body_model)
    known: dict[str, Any] = {
        "known_people": matching.num_known,
        "missed_people": matching.num_known - len(matching.pairs),
        "false_people": matching.num_labels - len(matching.pairs),
    }
    if truth := summarise(truth_errors(matching, body)):
        known["against_truth"] = truth
    projected = projected_keypoints(matching, body)
    if annotated := summarise(keypoint_errors(matching, projected)):
        known["against_annotations"] = annotated | acceptance(matching, projected, _trusted_groups(plan, workspace))
    return known


def _draw(folder: Path, plans: Sequence[DatasetPlan], workspace: Workspace, config: AnnotateConfig) -> None:
    """Writes the page and the picture of the error distribution."""
    readers: dict[str, PhotoReader] = {}
    shards = {shard.dataset: shard for shard in (*planned_shards(workspace), *(p.shards[0] for p in plans))}

    def load(dataset: str, _split: str, image: str) -> np.ndarray:
        if dataset not in readers:
            if dataset not in shards:
                raise FileNotFoundError(f"data set {dataset} is not planned in {workspace.work}")
            readers[dataset] = ShardJob(shards[dataset], workspace, config).photos()
        return readers[dataset].read(image)

    body = full_body(config.body_model)
    write_report(workspace.labels, load, body, folder / "index.html", plot=folder / "reprojection.png")


def _worst_overlay(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    workspace: Workspace,
    plans: Sequence[DatasetPlan],
    config: AnnotateConfig,
) -> bytes | None:
    """PNG of the labelled person whose body lies furthest from the keypoints."""
    every = (row for own in rows.values() for row in own)
    labels = [row for row in every if row["status"] != Status.FAILED and row["reproj_rel"] is not None]
    if not labels:
        return None
    worst = max(labels, key=lambda row: row["reproj_rel"])
    shard = next(plan.shards[0] for plan in plans if plan.manifest.id == worst["dataset"])
    body = full_body(config.body_model)
    try:
        photo = ShardJob(shard, workspace, config).photos().read(worst["image"])
    except (ImageError, OSError) as error:
        log.warning("%s cannot be drawn: %s", worst["sample_id"], error)
        return None
    return encode_png(draw_label(photo, dict(worst), body, side_colours(body.assets), 320))


def _write_times(workspace: Workspace, times: Mapping[str, StepTimes]) -> None:
    """Seconds by step, and how many of them went into files: what the orchestration costs can be read off here."""
    stated = {
        step: {
            "shards": own.shards,
            "seconds": round(own.seconds, 3),
            "file_seconds": round(own.file_seconds, 3),
        }
        for step, own in sorted(times.items())
    }
    write_text(workspace.work / "run.json", json.dumps(stated, indent=2) + "\n")
