"""Rendered people with known truth: ``images/`` and ``truth.parquet``, as ``tasks/synthetic/render.py`` writes them.

The people are made up, the pictures are ours: no licence binds their use. An image's id is its path without suffix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import NonNegativeInt, PositiveInt

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.ehm_fields import LABEL_FIELDS
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_sources import ImageSource

TRUTH_FILE = "truth.parquet"

TRUTH_SHAPES: dict[str, tuple[int, ...]] = {
    **{f.name: tuple(-1 if isinstance(n, str) else n for n in f.shape) for f in LABEL_FIELDS},
    "keypoints_2d": (133, 3),
    "joints_cam_m": (55, 3),
}
"""Columns of truth that go into ``PersonRecord.truth``, with their shapes (-1: any number of coefficients)."""

_SCALARS = ("focal_px", "is_child", "has_occluder")
_OTHER = ("image", "person", "image_width", "image_height", "bbox_xyxy", "principal_px")


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
        by_image: defaultdict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(truth["image"].to_pylist()):
            by_image[str(name)].append(row)
        yield from Missing.photos(self._images, by_image)
        if len(by_image) != self._layout.count:
            detail = f"the manifest says {self._layout.count} images, the file has {len(by_image)}; render them again."
            yield Missing.of(TRUTH_FILE, ErrorCode.SOURCE_ROW_INVALID, detail)
        for name in sorted(by_image, key=_image_id):
            rows = truth.take(by_image[name]).to_pylist()
            people = [self._person(row) for row in sorted(rows, key=lambda row: row["person"])]
            for person in people:
                if person.error_code:
                    yield Missing.of(f"{name}#{person.index}", person.error_code, person.error_detail or "")
            yield self._record(name, rows[0], people)

    def _record(self, name: str, row: Mapping[str, Any], people: list[PersonRecord]) -> ImageRecord:
        principal = row["principal_px"]
        return ImageRecord(
            image_id=_image_id(name),
            path=name,
            people=tuple(people) if self._boxes == "manifest" else (),
            width=row["image_width"],
            height=row["image_height"],
            focal_px=row["focal_px"],
            principal_px=(float(principal[0]), float(principal[1])) if principal and len(principal) == 2 else None,
        )

    def _person(self, row: Mapping[str, Any]) -> PersonRecord:
        try:
            truth = {name: _array(row, name, shape) for name, shape in TRUTH_SHAPES.items()}
            truth |= {name: np.asarray(row[name] or 0.0, dtype=np.float32) for name in _SCALARS}
            box = _array(row, "bbox_xyxy", (4,))
        except ValueError as error:
            return PersonRecord(index=row["person"], error_code=ErrorCode.SOURCE_ROW_INVALID, error_detail=str(error))
        keypoints = truth["keypoints_2d"] if self._keypoints == "coco_wholebody" else None
        return PersonRecord(index=row["person"], bbox_xyxy=box, keypoints=keypoints, truth=truth)


def _image_id(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _load_truth(root: Path) -> pa.Table:
    path = inside(root, TRUTH_FILE)
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise ValueError(f"The file {path} does not exist; render the synthetic people first.") from error
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"The file {path} cannot be read as Parquet ({error}); render the people again.") from error
    absent = sorted({*TRUTH_SHAPES, *_SCALARS, *_OTHER} - set(table.column_names))
    if absent:
        raise ValueError(f"The file {path} lacks the column(s) {', '.join(absent)}; render the people again.")
    return table


def _array(row: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(row[name] if row[name] is not None else [], dtype=np.float32)
    size = int(np.prod(shape)) if -1 not in shape else values.size
    if values.size != size or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"{name} of {row['image']}#{row['person']} must be {size} finite numbers of shape {shape}.")
    return values.reshape(shape)
