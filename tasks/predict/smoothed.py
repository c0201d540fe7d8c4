"""Smooth predictions of videos: rows that are written already are read again, and every track is smoothed over time.

A track is smoothed in stretches: never over a cut, where it ends, nor over a gap. Shape and size of the head are one in
a track, the median of the frames that show them; everybody is placed anew for that, so that they stay where they were
seen. What the network said of the frame itself (box, crop and its camera, which parts were seen) stays.

Three files are held at a time: a row is made of those of its own file and of the two beside it, which reach further
than a few tenths of a second.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datasets_manifest.schema.columns import Columns, has_status, table_from_columns
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.predictions import TRACK
from datasets_manifest.shards.shard import Shard, read_shard
from datasets_manifest.shards.store import write_shard
from fitting.clips.smoothing import Smoother
from model.batches import map_tensors
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.imaging.camera import NEAR_M, fitted_translation
from model.regressor.predict import PLACING_JOINTS
from model.renderer.raster import project
from tasks.predict.rows import body_columns, people_of, rotation_columns
from tasks.predict.settings import SmoothingConfig

_SHAPES = {"betas": "body_seen", "flame_shape": "face_seen", "head_scale": "face_seen"}
"""What is one in a track, and which frames show it."""
_ROUNDING = 1.001
"""Of the times between frames."""
_AT_ONCE = 1024
"""People that are posed at a time."""

Track = tuple[str, int]
"""Video and number."""
Shapes = Mapping[Track, Mapping[str, np.ndarray]]


def smooth_files(
    paths: Sequence[Path], schema: pa.Schema, config: SmoothingConfig, body: KeypointBody | None
) -> Iterator[int]:
    """Replaces files of predictions, in the order in which they were written, by smooth ones.

    Each is whole at any time; its footer says which it is.

    Args:
        paths: The files.
        schema: Theirs.
        config: How.
        body: The body of the people; None for rotations alone.

    Yields:
        How many rows of each file have others in reach to be smoothed by.

    Raises:
        WriteError: A file cannot be written.
    """
    shapes = _shapes(paths, schema) if body is not None else {}
    empty = schema.empty_table()
    tables = itertools.chain([empty], (read_shard(path, schema) for path in paths), [empty])
    before, own = next(tables), next(tables)
    for path, after in zip(paths, tables, strict=True):
        smooth, count = _smoothed(before, own, after, config, shapes, body)
        with Shard(path) as shard:
            footer = shard.footer
        stated = {**footer.config, "smoothing": dataclasses.asdict(config)}
        write_shard(path, smooth, dataclasses.replace(footer, config=stated))
        yield count
        before, own = own, after


def _shapes(paths: Sequence[Path], schema: pa.Schema) -> Shapes:
    """The shape of everybody."""
    found: dict[Track, list[Columns]] = defaultdict(list)
    for path in paths:
        rows = Columns(read_shard(path, schema, ["source", TRACK, "status", *_SHAPES, *set(_SHAPES.values())]))
        for track, own in _tracks(rows).items():
            found[track].append(rows.take(own))

    def shape(parts: list[Columns], name: str, shown_by: str) -> np.ndarray:
        values = np.concatenate([part[name] for part in parts])
        shown = np.concatenate([part[shown_by] for part in parts])
        return np.median(values[shown] if shown.any() else values, axis=0)

    return {
        track: {name: shape(parts, name, shown_by) for name, shown_by in _SHAPES.items()}
        for track, parts in found.items()
    }


def _tracks(rows: Columns) -> dict[Track, np.ndarray]:
    """Rows with a prediction of every track, in their order."""
    chosen = np.flatnonzero(rows.has(TRACK) & ~has_status(rows.table, Status.FAILED))
    found: dict[Track, list[int]] = defaultdict(list)
    for row, source, number in zip(chosen.tolist(), rows["source"][chosen], rows[TRACK][chosen].tolist(), strict=True):
        found[source, number].append(row)
    return {track: np.array(own) for track, own in found.items()}


def _smoothed(
    before: pa.Table,
    own: pa.Table,
    after: pa.Table,
    config: SmoothingConfig,
    shapes: Shapes,
    body: KeypointBody | None,
) -> tuple[pa.Table, int]:
    """The rows of a file, smooth, for those of the files beside it, and how many are."""
    rows, first = Columns(pa.concat_tables([before, own, after])), before.num_rows
    values: dict[str, list[np.ndarray | None]] = {}
    count = 0
    for track, whole in _tracks(rows).items():
        jumps = np.diff(rows["time_s"][whole]) > _ROUNDING * config.max_step_s
        for stretch in np.split(whole, np.flatnonzero(jumps) + 1):
            is_own = (stretch >= first) & (stretch < first + own.num_rows)
            if len(whole) == 1 or not is_own.any():
                continue
            time_s = torch.from_numpy(rows["time_s"][stretch])
            smoother = Smoother.over(time_s, config.reach_s)
            columns = _stretch(rows.take(stretch), is_own, smoother, shapes.get(track, {}), body)
            finite = np.all([np.isfinite(value).reshape(len(value), -1).all(1) for value in columns.values()], axis=0)
            count += int((smoother.moves.numpy()[is_own] & finite).sum())
            for name, value in columns.items():
                into = values.setdefault(name, _as_they_are(own, name))
                for place, number in zip(stretch[is_own][finite] - first, value[finite], strict=True):
                    into[place] = number
    columns = {name: values.get(name, own[name]) for name in own.column_names}
    return table_from_columns(columns, own.schema), count


def _as_they_are(rows: pa.Table, name: str) -> list[np.ndarray | None]:
    """A column (N, ...) row by row, None where there is no value."""
    columns = Columns(rows)
    return [value if has else None for value, has in zip(columns[name], columns.has(name), strict=True)]


def _stretch(
    rows: Columns,
    is_own: np.ndarray,
    smoother: Smoother,
    shape: Mapping[str, np.ndarray],
    body: KeypointBody | None,
) -> dict[str, np.ndarray]:
    """Columns of those rows of a stretch (F,) that are asked for."""
    people = people_of(rows)
    if body is None:
        return rotation_columns(_rows(smoother.people(people), is_own))
    one = {name: torch.from_numpy(value).float().expand(rows.num_rows, -1) for name, value in shape.items()}
    people = _placed(dataclasses.replace(people, **one), torch.from_numpy(rows["joints_m"].copy()), body)
    people = _rows(smoother.people(people), is_own)
    joints, keypoints = _points(people, body)
    shown = [
        project(points, focal, principal)
        for points, focal, principal in zip(
            keypoints.numpy(), rows["focal_px"][is_own], rows["principal_px"][is_own], strict=True
        )
    ]
    return body_columns(people, joints.numpy(), np.array(shown))


def _placed(people: EhmParameters, seen_m: Tensor, body: KeypointBody) -> EhmParameters:
    """People (F) of another shape where their joints (F, 55, 3) were seen."""
    seen = seen_m[:, :PLACING_JOINTS]
    joints = _points(people, body)[0]
    rooted = (joints - joints[:, :1])[:, :PLACING_JOINTS]
    depth = seen[..., 2:].clamp(min=NEAR_M)
    transl = fitted_translation(rooted, seen[..., :2] / depth, (seen[..., 2] > NEAR_M).float())
    is_before = (transl[:, 2:] > NEAR_M) & transl.isfinite().all(1, keepdim=True)
    return dataclasses.replace(people, transl_m=torch.where(is_before, transl, people.known("transl_m")))


@torch.inference_mode()
def _points(people: EhmParameters, body: KeypointBody) -> tuple[Tensor, Tensor]:
    """Joints (F, 55, 3) and keypoints (F, 133, 3)."""
    device = body.skin_weights.device
    parts = [
        body(map_tensors(people, lambda value, at=at: value[at : at + _AT_ONCE].to(device)))
        for at in range(0, len(people), _AT_ONCE)
    ]
    return torch.cat([part.joints for part in parts]).cpu(), torch.cat([part.keypoints for part in parts]).cpu()


def _rows(people: EhmParameters, chosen: np.ndarray) -> EhmParameters:
    return map_tensors(people, lambda value: value[torch.from_numpy(chosen)])
