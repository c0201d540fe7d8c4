"""What ``metrics/annotate.json`` says of the labels of one data set, without what is known of its people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from datasets_manifest.schema.labels import PART_NAMES
from tasks.annotate.workspace import Group
from tasks.report.data import LabelStatistics
from tasks.report.figures import finite


def dataset_figures(labels: LabelStatistics, name: Group) -> dict[str, Any]:
    """Counts, accepted parts, reprojection errors and qualities."""
    group = labels.groups[name]
    metrics: dict[str, Any] = {"people": group.count.people} | asdict(group.count)
    if not group.labelled:
        return metrics

    def numbers(column: str) -> np.ndarray:
        """One column at a time: all of them would be 80 bytes a person."""
        return finite(labels.numbers(column, name, labelled=True))

    metrics["accepted"] = {part: round(group.accepted[part] / group.labelled, 4) for part in PART_NAMES}
    metrics["reprojection_median_px"] = {
        part: round(float(np.median(values)), 3) for part in PART_NAMES if len(values := numbers(f"reproj_{part}_px"))
    }
    if len(relative := numbers("reproj_rel")):
        metrics["reprojection_rel"] = {
            "median": round(float(np.median(relative)), 5),
            "p95": round(float(np.percentile(relative, 95)), 5),
        }
    metrics["converged"] = round(group.converged / group.labelled, 4)
    metrics["quality_median"] = {
        part: round(float(np.median(values)), 4) for part in PART_NAMES if len(values := numbers(f"{part}_quality"))
    }
    return metrics
