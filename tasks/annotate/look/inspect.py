"""One label, looked at."""

from __future__ import annotations

from typing import Any

import numpy as np

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from model.renderer.overlay import encode_png
from tasks.annotate.look.status import planned_shards
from tasks.annotate.photos import PhotoReader
from tasks.annotate.provenance import labelled_body
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.report.page import draw_label
from tasks.report.pixels import draw_changes, shown_labels


def find_label(workspace: Workspace, sample_id: str) -> tuple[dict[str, Any], ShardRef]:
    """Looks a label up.

    Raises:
        ValueError: No finished shard has this sample.
    """
    group = tuple(sample_id.split("/")[:2])
    num_shards = 0
    for shard in planned_shards(workspace):
        path = workspace.step_path("refine", shard)
        num_shards += shard.group == group
        if shard.group != group or not path.is_file():
            continue
        with Shard(path) as labels:
            ids = labels.table(LABEL_SCHEMA, ["sample_id"])["sample_id"].to_pylist()
            if sample_id in ids:
                return shown_labels(labels).slice(ids.index(sample_id), 1).to_pylist()[0], shard
    raise ValueError(
        f"sample {sample_id!r} is in none of the {num_shards} shards of data set {'/'.join(group)!r}; "
        "ids are as in the column sample_id, for example demo_photos/all/camera.png#0"
    )


def draw_sample(row: dict[str, Any], shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> bytes:
    """PNG with keypoints, mesh over the photo and side view of a label, and what pixels changed, before and after."""
    body = labelled_body(config)
    photo = PhotoReader.of_dataset(workspace, shard.group, config.run.photo_cache_mb).read(row["image"])
    return encode_png(np.concatenate([draw_label(photo, row, body, 512), *draw_changes(photo, row, body, 512)]))
