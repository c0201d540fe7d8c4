"""Drawings of videos by the rows that were written of them, where those are no longer what the network said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, has_status
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.predictions import TRACK
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.frame_choice import FrameChoice
from tasks.predict.drawn import Drawings
from tasks.predict.inputs import InputFrame, Source, decode_frames
from tasks.predict.rows import prediction_of


def redraw(
    paths: Sequence[Path], schema: pa.Schema, sources: Sequence[Source], choice: FrameChoice, drawings: Drawings
) -> Iterator[None]:
    """Reads the videos again and draws the people of their rows, once a frame.

    Args:
        paths: Files of whole predictions, in the order in which they were written.
        schema: Theirs.
        sources: What they are of.
        choice: Which frames.
        drawings: Draws them.
    """
    videos = {source.name: source for source in sources if source.is_video}
    frames: Iterator[InputFrame] = iter(())
    at = ""
    for rows in _by_frame(paths, schema):
        name, number = rows["source"][0], rows["frame"][0]
        if name not in videos or not rows.has("frame")[0]:
            continue
        if name != at:
            at, frames = name, decode_frames(videos[name], choice)
        frame = next((frame for frame in frames if frame.frame == number), None)
        if frame is not None and frame.rgb is not None:
            _draw(drawings, frame, frame.rgb, rows)
        yield


def _draw(drawings: Drawings, frame: InputFrame, rgb: np.ndarray, rows: Columns) -> None:
    people = rows.take(~has_status(rows.table, Status.FAILED))
    tracks = [number if has else None for number, has in zip(rows[TRACK].tolist(), rows.has(TRACK), strict=True)]
    if people.num_rows:
        drawings.draw(frame, rgb, people["person"].tolist(), tracks, prediction_of(people))
    elif drawings.config.overlays:
        drawings.films.add(frame, rgb)


def _by_frame(paths: Sequence[Path], schema: pa.Schema) -> Iterator[Columns]:
    """Rows of a photo or frame at a time, which two files may share."""
    left = schema.empty_table()
    for path in paths:
        table = pa.concat_tables([left, read_shard(path, schema)])
        rows = Columns(table)
        starts = np.flatnonzero((rows["person"] == 0) & (np.arange(rows.num_rows) > 0)).tolist()
        for first, last in zip([0, *starts], starts, strict=False):
            yield Columns(table.slice(first, last - first))
        left = table.slice(starts[-1] if starts else 0)
    if left.num_rows:
        yield Columns(left)
