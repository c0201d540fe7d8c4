"""The tracks that the page shows: chosen rows of each, in words and in pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.people import found_rows
from datasets_manifest.shards.shard import Shard
from datasets_manifest.sources.images import ImageError
from datasets_manifest.stores import Place
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg
from model.renderer.track_colours import track_rgb
from tasks.report.pixels import shown_labels
from tasks.report.settings import ReportConfig
from tasks.report.track_pictures import draw_frames, draw_moment, is_drawable
from tasks.report.tracks import TrackStatistics, TrackSummary
from tasks.tracks.labelled import Track, main_camera, track_rows

Label = Mapping[str, Any]
ImageLoader = Callable[[str, str, str], np.ndarray]
"""(dataset, split, image) -> (H, W, 3) uint8 RGB; raises ImageError or OSError where the photo cannot be had."""
NUM_FRAMES = 6
"""Frames of a track that are drawn in turn."""


def group_table(path: Place, group: str) -> pa.Table:
    """The rows of a group in the shard that has it."""
    with Shard(path) as shard:
        table = shown_labels(shard)
    return table.filter(pc.equal(table["group"], pa.scalar(group)))


def frames_of(table: pa.Table, name: Track, num: int = NUM_FRAMES) -> list[Label]:
    """Labels of a track spread over its time, as the camera sees them that finds the person most often."""
    rows = track_rows(table)[name]
    cameras = Columns(table)["camera"][rows]
    rows = rows[cameras == main_camera(cameras, found_rows(table)[rows])]
    spread = np.unique(np.linspace(0, len(rows) - 1, min(num, len(rows))).round().astype(int))
    return [label for label in _labels(table, rows[spread]) if is_drawable(label)]


def moment_of(table: pa.Table, frame: int) -> list[Label]:
    """Labels of everybody at a moment, in every view."""
    rows = np.concatenate([*track_rows(table).values(), np.zeros(0, int)]).astype(int)
    rows = np.sort(rows[Columns(table)["frame"][rows] == frame])
    return [label for label in _labels(table, rows) if is_drawable(label)]


def _labels(table: pa.Table, rows: np.ndarray) -> list[dict[str, Any]]:
    return table.take(pa.array(rows, pa.int64())).to_pylist()


def track_cards(
    tracks: TrackStatistics, load: ImageLoader, ehm: EHMs, config: ReportConfig, room: int
) -> tuple[list[dict[str, Any]], int]:
    """What the page says and shows of the chosen tracks, while there is room (bytes); returns the room left as well."""
    cards = []
    for summary in tracks.chosen():
        card = _card(summary)
        cards.append(card)
        if room <= 0:
            card["problem"] = "The pictures were left out to keep the page small."
            continue
        try:
            for picture in _pictures(summary, load, ehm, config.tile_px // 2):
                data = base64.b64encode(encode_jpeg(picture, config.jpeg_quality)).decode("ascii")
                height, width = picture.shape[:2]
                card["images"].append({"data": f"data:image/jpeg;base64,{data}", "width": width, "height": height})
                room -= len(data)
        except (ImageError, OSError) as error:
            card["problem"] = f"A photo cannot be shown: {error}"
    return cards, room


def _pictures(summary: TrackSummary, load: ImageLoader, ehm: EHMs, tile_px: int) -> list[np.ndarray]:
    """Frames in turn, and the views of a moment where there are several."""
    table = group_table(summary.path, summary.name.group)
    frames = frames_of(table, summary.name)

    def photo(label: Label) -> np.ndarray:
        return load(label["dataset"], label["split"], label["image"])

    pictures = [draw_frames(frames, photo, ehm, tile_px)] if frames else []
    if frames and summary.cameras > 1:
        moment = moment_of(table, frames[len(frames) // 2]["frame"])
        pictures.append(draw_moment(moment, photo, ehm, tile_px))
    return pictures


def _card(summary: TrackSummary) -> dict[str, Any]:
    return {
        "title": summary.title,
        "colour": "#{:02x}{:02x}{:02x}".format(*np.round(track_rgb(summary.name.track)).astype(int)),
        "summary": summary,
        "joints": summary.joints_m_s2 if np.isfinite(summary.joints_m_s2) else None,
        "place": summary.place_m_s2 if np.isfinite(summary.place_m_s2) else None,
        "images": [],
        "problem": "",
    }
