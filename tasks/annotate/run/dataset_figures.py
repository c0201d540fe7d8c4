"""What ``metrics/annotate.json`` says of the labels of one data set, without what is known of its people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from datasets_manifest.schema.labels import PART_NAMES, PIXEL_PARTS
from tasks.annotate.workspace import Group
from tasks.report.data import LabelStatistics
from tasks.report.figures import finite
from tasks.report.tracks import track_metrics


def dataset_figures(labels: LabelStatistics, name: Group) -> dict[str, Any]:
    """Counts, tracks, accepted parts, reprojection errors, qualities, and what pixels changed."""
    group = labels.groups[name]
    metrics: dict[str, Any] = {"people": group.count.people} | asdict(group.count)
    if not group.count.bridged:
        del metrics["bridged"]
    if (tracks := labels.tracks.datasets.get(name)) is not None:
        metrics |= track_metrics(tracks)
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
    if group.pixels.people:
        metrics["changed_by_pixels"] = {
            part: round(len(gains) / group.pixels.people, 4) for part, gains in group.pixels.gains.items()
        }
        metrics["photometric_gain_median"] = {
            part: round(median, 4) for part in PIXEL_PARTS if (median := group.pixels.median(part)) is not None
        }
    return metrics
