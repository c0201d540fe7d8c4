"""The rows that motions are made of, as columns of labels: those of labels with groups, and of predictions of videos.

A prediction's group is the video, and its parts are trusted where the network saw them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.group_columns import GROUP_COLUMNS
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.predictions import TRACK, prediction_schema, rotations_schema
from datasets_manifest.shards.body_entry import body_identity
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from tasks.tracks.labelled import has_groups

_STATE = ["status", "error_code"]
_VALID = [f"{part}_valid" for part in PART_NAMES]


def label_rows(shard: Shard) -> Columns | None:
    """The rows of a shard of labels; None of one without groups."""
    wanted = [*GROUP_COLUMNS, *LABEL_PARAMETERS, *_STATE, *_VALID]
    return shard.columns(label_schema(in_groups=True), wanted) if has_groups(shard) else None


def predicted_rows(path: Path) -> tuple[Columns, Mapping[str, Any]]:
    """The rows of a prediction, and what it states of its body.

    Args:
        path: A Parquet file, or the folder of all files of a run, over several of which a video may go.

    Raises:
        ValueError: There is no such file, one is no prediction or one of joint rotations alone, or two are of two
            bodies.
    """
    tables, bodies = [], []
    for file in (path,) if path.is_file() else tuple(shard_files(path)):
        with Shard(file) as shard:
            names = set(shard.schema.names)
            if names | {TRACK} == set(rotations_schema().names):
                raise ValueError(f"{file} holds joint rotations alone; predict it without --rotations-only")
            if "source" not in names:
                raise ValueError(f"{file} is no prediction; name the folder `people` of one, or a file in it")
            tables.append(_as_labels(shard.table(prediction_schema())))
            bodies.append(shard.footer.body_model)
    if not tables:
        raise ValueError(f"{path} has no predictions; name the folder `people` that pear predict wrote")
    if len({body_identity(body) for body in bodies}) > 1:
        raise ValueError(f"{path} has predictions of several bodies; name one file of them")
    return Columns(pa.concat_tables(tables)), bodies[0]


def _as_labels(predicted: pa.Table) -> pa.Table:
    count = predicted.num_rows
    known = {"group": predicted["source"], "views_joined": pa.array([False] * count)}
    known |= {f"{part}_valid": predicted[f"{part}_seen"] for part in PART_NAMES}
    same = ["frame", "time_s", TRACK, *LABEL_PARAMETERS, *_STATE]
    table = predicted.select(same)
    for field in label_schema(in_groups=True):
        if field.name in (*GROUP_COLUMNS, *_VALID) and field.name not in same:
            table = table.append_column(field, known.get(field.name, pa.nulls(count, field.type)))
    return table
