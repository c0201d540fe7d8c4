"""One label, looked at: by itself, and among the other frames and views of its person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from datasets_manifest.stores import is_file
from model.body.ehms import EHMs
from model.renderer.overlay import BACKDROP_RGB, encode_png
from tasks.annotate.photos import PhotoReader
from tasks.annotate.plan_files import planned_shards
from tasks.annotate.provenance import labelled_body
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.report.page import draw_label
from tasks.report.pixels import draw_changes, shown_labels
from tasks.report.track_cards import group_table, moment_of
from tasks.report.track_pictures import draw_frames, draw_moment, is_drawable

_TILE_PX = 512
_WIDTH_PX = 3 * _TILE_PX


@dataclass(frozen=True, kw_only=True, slots=True)
class Company:
    """What a group has beside one of its labels."""

    before: Mapping[str, Any] | None
    """The label of the same person through the same camera in the frame before, of those that there are."""
    after: Mapping[str, Any] | None
    """And in the frame after."""
    views: tuple[Mapping[str, Any], ...]
    """Labels of the same person through other cameras at the moment."""
    moment: tuple[Mapping[str, Any], ...]
    """Labels of everybody at the moment that can be drawn, in every view."""


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
        if shard.group != group or not is_file(path):
            continue
        with Shard(path) as labels:
            ids = labels.table(LABEL_SCHEMA, ["sample_id"])["sample_id"].to_pylist()
            if sample_id in ids:
                return shown_labels(labels).slice(ids.index(sample_id), 1).to_pylist()[0], shard
    raise ValueError(
        f"sample {sample_id!r} is in none of the {num_shards} shards of data set {'/'.join(group)!r}; "
        "ids are as in the column sample_id, for example demo_photos/all/camera.png#0"
    )


def find_company(row: Mapping[str, Any], shard: ShardRef, workspace: Workspace) -> Company | None:
    """The other frames and views of a label; None for one outside groups, or of nobody in particular."""
    if row.get("group") is None or row["track"] is None:
        return None
    table = group_table(workspace.step_path("refine", shard), row["group"])
    keys = table.select(["track", "camera", "frame", "status"]).to_pylist()
    own = [k for k, key in enumerate(keys) if key["track"] == row["track"] and key["status"] != "failed"]
    same = sorted((keys[k]["frame"], k) for k in own if keys[k]["camera"] == row["camera"])
    before = [k for frame, k in same if frame < row["frame"]][-1:]
    after = [k for frame, k in same if frame > row["frame"]][:1]
    views = [k for k in own if keys[k]["frame"] == row["frame"] and keys[k]["camera"] != row["camera"]]
    beside = table.take(pa.array([*before, *after, *views], pa.int64())).to_pylist()
    return Company(
        before=beside[0] if before else None,
        after=beside[len(before)] if after else None,
        views=tuple(beside[len(before) + len(after) :]),
        moment=tuple(moment_of(table, row["frame"])),
    )


def company_lines(row: Mapping[str, Any], company: Company) -> Iterator[str]:
    """Where in its group a label is, whether it was fitted with others, and which those are."""
    camera = f", camera {row['camera']}" if row["camera"] else ""
    yield f"group {row['group']}{camera}, frame {row['frame']} ({row['time_s']:.3f} s), track {row['track']}"
    joined = " and ".join(name for name in ("views", "frames") if row[f"{name}_joined"])
    yield f"fitted with other {joined}" if joined else "fitted alone"
    if row["group_detail"]:
        yield f"left out: {row['group_detail']}"
    for said, label in (("before", company.before), ("after", company.after)):
        if label is not None:
            yield f"{said}: frame {label['frame']}, {label['sample_id']}"
    for label in company.views:
        yield f"other view: camera {label['camera']}, {label['sample_id']}"


def draw_sample(
    row: Mapping[str, Any],
    shard: ShardRef,
    workspace: Workspace,
    config: AnnotateConfig,
    company: Company | None = None,
) -> bytes:
    """PNG with keypoints, mesh over the photo and side view of a label, and what pixels changed, before and after; of
    one in a group the frames before and after, and everybody in all views of the moment."""
    body, photos = labelled_body(config), PhotoReader.of_dataset(workspace, shard.group, config.run.photo_cache_mb)
    photo = photos.read(row["image"])
    strips = [draw_label(photo, row, body, _TILE_PX), *draw_changes(photo, row, body, _TILE_PX)]
    if company is not None and is_drawable(row):
        strips += _draw_company(row, company, photos, body)
    return encode_png(np.concatenate(strips))


def _draw_company(row: Mapping[str, Any], company: Company, photos: PhotoReader, body: EHMs) -> Iterator[np.ndarray]:
    def photo(label: Mapping[str, Any]) -> np.ndarray:
        return photos.read(label["image"])

    near = [label for label in (company.before, row, company.after) if label is not None and is_drawable(label)]
    if len(near) > 1:
        yield _widened(draw_frames(near, photo, body, _TILE_PX))
    num_views = len({label["camera"] for label in company.moment})
    if num_views > 1:
        yield _widened(draw_moment(company.moment, photo, body, _WIDTH_PX // min(num_views, 4)))


def _widened(picture: np.ndarray) -> np.ndarray:
    """The picture, filled up on the right to the width of all."""
    whole = np.empty((picture.shape[0], _WIDTH_PX, 3), np.uint8)
    whole[:] = BACKDROP_RGB
    whole[:, : picture.shape[1]] = picture
    return whole
