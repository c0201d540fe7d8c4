"""The tracks of label files: rows of one person over the frames and views of a group, in the order of time.

Legend: N rows of a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.group_columns import GROUP_COLUMNS
from datasets_manifest.shards.shard import Shard


class Track(NamedTuple):
    """Names a person of a file."""

    group: str
    """Video or scene."""
    track: int
    """Number within it."""


def has_groups(shard: Shard) -> bool:
    """Whether a file is of a data set with groups."""
    return GROUP_COLUMNS[0] in shard.schema.names


def track_rows(table: pa.Table) -> Mapping[Track, np.ndarray]:
    """The rows of each track that have a label, by frame and then by camera.

    Args:
        table: (N) rows with at least `group`, `camera`, `frame`, `track` and `status`.
    """
    columns = Columns(table)
    named = columns.has("group") & columns.has("track") & (columns["status"] != Status.FAILED.value)
    cameras = np.array([name or "" for name in columns["camera"]], object)
    rows = np.flatnonzero(named)
    found: defaultdict[Track, list[int]] = defaultdict(list)
    for row in sorted(rows.tolist(), key=lambda k: (columns["frame"][k], cameras[k])):
        found[Track(str(columns["group"][row]), int(columns["track"][row]))].append(row)
    return {track: np.array(own) for track, own in sorted(found.items())}


def main_camera(cameras: np.ndarray, found: np.ndarray) -> str | None:
    """The camera in which a track is found most often; of several the first by name.

    Args:
        cameras: (R,) of the track's rows; None where the group has one camera.
        found: (R,) whether the person was found there.
    """
    names = sorted({name or "" for name in cameras})
    return max(names, key=lambda name: sum(found[cameras == (name or None)])) or None
