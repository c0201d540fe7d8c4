"""What pixels changed of labels: counted, in words, and drawn."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import PIXEL_COLUMNS, PIXEL_PARTS, label_schema
from datasets_manifest.shards.shard import Shard
from model.body.ehms import EHMs
from model.renderer.overlay import View, draw_mesh, side_colours
from model.renderer.part_windows import KEYPOINTS, MARGIN, PARTS, Part
from tasks.posing import pose_bodies
from tasks.report.figures import PART_TITLES
from tasks.tracks.labelled import has_groups

PIXEL_TITLES = {"left_hand": PART_TITLES["left_hand"], "right_hand": PART_TITLES["right_hand"], "head": "Head"}
COUNTED = ("photometric_gain", "mask_source")
"""Columns that are read of every label."""


@dataclass(slots=True)
class PixelGains:
    """Whose parts fit the photo better than before."""

    people: int = 0
    """People with a label who were compared with their photos."""
    masked: int = 0
    """Those of them with a mask."""
    gains: dict[str, array[float]] = field(default_factory=lambda: {part: array("f") for part in PIXEL_PARTS})
    """Of each changed part by which share the difference from the photo fell."""

    def add(self, labels: Columns) -> None:
        """Takes labels that were refined by pixels, with the columns ``COUNTED``."""
        self.people += labels.num_rows
        self.masked += int(labels.has("mask_source").sum())
        for part, gain in zip(PIXEL_PARTS, labels["photometric_gain"].T, strict=True):
            self.gains[part].frombytes(gain[np.isfinite(gain)].astype(np.float32).tobytes())

    @classmethod
    def of_all(cls, parts: Iterable[PixelGains]) -> PixelGains:
        """Those of several groups of people together."""
        total = cls()
        for each in parts:
            total.people += each.people
            total.masked += each.masked
            for part, gains in each.gains.items():
                total.gains[part].extend(gains)
        return total

    def median(self, part: str) -> float | None:
        """The median gain of a part where it was changed; None where nobody's was."""
        return float(np.median(self.gains[part])) if self.gains[part] else None


def has_pixels(shard: Shard) -> bool:
    """Whether the labels of a shard were refined by pixels."""
    return PIXEL_COLUMNS[0] in shard.schema.names


def shown_labels(shard: Shard) -> pa.Table:
    """The labels of a shard, with what pixels say of them where they were asked, and with groups if there are some."""
    has_mask = "mask" in shard.schema.names
    schema = label_schema(by_pixels=has_pixels(shard), in_groups=has_groups(shard), has_mask=has_mask)
    return shard.table(schema, [name for name in schema.names if name != "before_pixels_shape"])


def label_columns(label: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The parameters of one label row as columns (1, n) that ``pose_bodies`` takes."""
    return {name: np.asarray(label[name])[None] for name in LABEL_PARAMETERS if label.get(name)}


def gain_text(label: Mapping[str, Any]) -> str:
    """What pixels changed of a person, in words; empty where they were not asked."""
    if label.get("photometric_gain") is None:
        return ""
    gains = zip(PIXEL_PARTS, label["photometric_gain"], strict=True)
    said = [f"{PIXEL_TITLES[part]} {100 * gain:.0f} % closer to the photo" for part, gain in gains if np.isfinite(gain)]
    return "; ".join([*said, *filter(None, [label["photometric_detail"]])])


def draw_changes(photo: np.ndarray, label: Mapping[str, Any], ehm: EHMs, tile_px: int) -> list[np.ndarray]:
    """Of each part that pixels changed: photo | as keypoints alone have it | as it is now, (tile, 3 tile, 3)."""
    gains = dict(zip(PIXEL_PARTS, label.get("photometric_gain") or [np.nan] * len(PIXEL_PARTS), strict=True))
    parts: list[Part] = [part for part in PARTS if np.isfinite(gains[part])]
    if not parts:
        return []
    now = label_columns(label)
    before = now | {name: np.asarray(values)[None] for name, values in dict(label["before_pixels"]).items()}
    bodies = [pose_bodies(ehm, columns) for columns in (before, now)]
    focal, principal = float(label["focal_px"]), np.asarray(label["principal_px"])
    faces, colours = np.asarray(ehm.assets.smplx.faces), side_colours(ehm.assets)
    strips = []
    for part in parts:
        points = bodies[1].keypoints[0, KEYPOINTS[part]].double().numpy()
        points_px = focal * points[:, :2] / points[:, 2:] + principal
        view = View.around(np.concatenate([points_px.min(0), points_px.max(0)]), tile_px, MARGIN[part])
        cut, centre = view.cut(photo), view.apply(principal)
        meshes = [body.vertices[0].double().numpy() for body in bodies]
        drawn = [draw_mesh(cut, mesh, faces, focal * view.scale, centre, colours=colours, alpha=0.6) for mesh in meshes]
        strips.append(np.concatenate([cut, *drawn], axis=1))
    return strips
