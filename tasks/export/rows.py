"""The rows that exports are made of, as columns of labels: those of labels, and of predictions.

A prediction's photo is its source, its group the video, and its parts are trusted where the network saw them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.group_columns import GROUP_COLUMNS
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.person_columns import KEY_COLUMNS
from datasets_manifest.schema.predictions import TRACK, prediction_schema, rotations_schema
from datasets_manifest.shards.body_entry import body_identity
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sources.image_names import MEMBER_MARK
from model.body import skeleton

PREDICTIONS = "predictions"
"""What the data set of predictions is called."""
_SCHEMA = label_schema(in_groups=True, has_truth=True, has_mask=True)
_STATE = ["status", "error_code"]
_VALID = [f"{part}_valid" for part in PART_NAMES]
_PLACE = ["bbox_xyxy", "focal_px", "principal_px"]
_WANTED = [*KEY_COLUMNS, *_STATE, *_PLACE, "keypoints_2d", "body_group_valid", "label_source", "mask", *_VALID,
           *LABEL_PARAMETERS, *GROUP_COLUMNS]  # fmt: skip


def label_rows(shard: Shard) -> Columns:
    """The rows of a shard of labels; what they say of groups is null where the data set has none."""
    return shard.columns(_SCHEMA, _WANTED)


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
            tables.append(_as_labels(shard.columns(prediction_schema())))
            bodies.append(shard.footer.body_model)
    if not tables:
        raise ValueError(f"{path} has no predictions; name the folder `people` that pear predict wrote")
    if len({body_identity(body) for body in bodies}) > 1:
        raise ValueError(f"{path} has predictions of several bodies; name one file of them")
    return Columns(pa.concat_tables(tables)), bodies[0]


def _as_labels(predicted: Columns) -> pa.Table:
    count, table = predicted.num_rows, predicted.table
    is_frame = predicted.has("frame")
    known: dict[str, Any] = {
        "dataset": pa.array([PREDICTIONS] * count),
        "split": pa.array([PREDICTIONS] * count),
        "image": pa.array(list(_images(predicted, is_frame)), pa.string()),
        "group": pa.array(predicted["source"].tolist(), pa.string(), mask=~is_frame),
        "views_joined": pa.array([False] * count),
        "keypoints_2d": _keypoints(predicted),
    }
    known |= {f"{part}_valid": table[f"{part}_seen"] for part in PART_NAMES}
    fields = [table.schema.field(name) if name in LABEL_PARAMETERS else _SCHEMA.field(name) for name in _WANTED]
    own = set(table.column_names)
    columns = [
        known[f.name] if f.name in known else table[f.name] if f.name in own else pa.nulls(count, f.type)
        for f in fields
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _images(predicted: Columns, is_frame: np.ndarray) -> Iterator[str]:
    """Names as labels have them: of a frame with its number."""
    for source, frame, own in zip(predicted["source"], predicted["frame"], is_frame, strict=True):
        yield f"{source}{MEMBER_MARK}{frame:06d}" if own else source


def _keypoints(predicted: Columns) -> pa.Array:
    """The body's points with the score 1 where their part was seen and they are in the photo."""
    points = predicted["keypoints_2d"]
    size = np.column_stack([predicted["image_width"], predicted["image_height"]])[:, None]
    seen = np.zeros(points.shape[:2], bool)
    for part, own in zip(PART_NAMES, (skeleton.BODY_AND_FEET, *skeleton.HANDS_AND_FACE), strict=True):
        seen[:, own] = predicted[f"{part}_seen"][:, None]
    seen &= ((points >= 0) & (points < np.where(size > 0, size, np.inf))).all(-1)
    found = np.dstack([np.nan_to_num(points), seen]).astype(np.float32)
    offsets = np.arange(len(found) + 1, dtype=np.int32) * (found.shape[1] * found.shape[2])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(found.reshape(-1)))
