"""Rendered people with known truth: ``images/`` and ``truth.parquet``, as ``tasks/synthetic/render.py`` writes them.

The people are made up, the pictures are ours: no licence binds their use. An image's id is its path without suffix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import NonNegativeInt, PositiveInt

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.image_source import ImageSource

TRUTH_FILE = "truth.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticLayout:
    """What was rendered; the renderer takes its count and seed from here."""

    count: PositiveInt
    """Number of images."""
    seed: NonNegativeInt = 0
    """Seed of the random people."""


@register("synthetic")
class SyntheticAdapter:
    """Rendered people; boxes, keypoints and every parameter are known."""

    Layout: ClassVar[type] = SyntheticLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"manifest", "detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none", "coco_wholebody"})

    def __init__(self, images: ImageSource, layout: SyntheticLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout
        self._boxes = boxes
        self._keypoints = keypoints

    def entries(self) -> Iterator[Entry]:
        """List the rendered images with their people and truth."""
        truth = _load_truth(self._images.root)
        rows_of: defaultdict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(truth["image"]):
            rows_of[name].append(row)
        yield from Missing.photos(self._images, rows_of)
        if len(rows_of) != self._layout.count:
            detail = f"the manifest says {self._layout.count} images, the file has {len(rows_of)}; render them again."
            yield Missing.of(TRUTH_FILE, ErrorCode.SOURCE_ROW_INVALID, detail)
        for name in sorted(rows_of, key=_image_id):
            yield self._record(name, truth, rows_of[name])

    def _record(self, name: str, truth: Columns, rows: list[int]) -> ImageRecord:
        first = rows[0]
        x, y = truth["principal_px"][first].tolist()
        return ImageRecord(
            image_id=_image_id(name),
            path=name,
            people=tuple(self._person(truth, row) for row in rows) if self._boxes == "manifest" else (),
            width=int(truth["image_width"][first]),
            height=int(truth["image_height"][first]),
            focal_px=float(truth["focal_px"][first]),
            principal_px=(x, y),
        )

    def _person(self, truth: Columns, row: int) -> PersonRecord:
        return PersonRecord(
            index=int(truth["person"][row]),
            bbox_xyxy=truth["bbox_xyxy"][row],
            keypoints=truth["keypoints_2d"][row] if self._keypoints == "coco_wholebody" else None,
            truth={name: truth[name][row] for name in LABEL_PARAMETERS},
        )


def _image_id(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _load_truth(root: Path) -> Columns:
    path = inside(root, TRUTH_FILE)
    try:
        return Columns(read_shard(path, LABEL_SCHEMA))
    except FileNotFoundError as error:
        raise ValueError(f"The file {path} does not exist; render the synthetic people first.") from error
