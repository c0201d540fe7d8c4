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

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord, Place
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.image_source import ImageSource

TRUTH_FILE = "truth.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticLayout:
    """What was rendered; the renderer takes its count and seed from here."""

    count: PositiveInt
    """Number of images; of groups, where there are several frames or cameras."""
    seed: NonNegativeInt = 0
    """Seed of the random people."""
    frames: PositiveInt = 1
    """Moments of each group."""
    cameras: PositiveInt = 1
    """Cameras of each group, which all see each moment."""
    people: PositiveInt = 1
    """Most people in a group: group k has 1 + k modulo this."""
    crop_shares: tuple[float, ...] | None = None
    """Shares of people who stand alone of whom the camera shows all, the upper body, the head, the left hand, the right
    hand, and the face; null: as the renderer has it."""
    child_share: float | None = None
    """Share of them who are children; null likewise."""

    @property
    def in_groups(self) -> bool:
        """Whether images belong together."""
        return self.frames * self.cameras > 1

    @property
    def num_images(self) -> int:
        """Images of all groups."""
        return self.count * self.frames * self.cameras

    def __post_init__(self) -> None:
        if self.people > 1 and not self.in_groups:
            raise ValueError(f"people: is {self.people}, but a photo that stands alone shows 1; give frames or cameras")
        if self.in_groups and (self.crop_shares is not None or self.child_share is not None):
            raise ValueError("crop_shares, child_share: are of people who stand alone; leave out frames and cameras")


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
        if len(rows_of) != self._layout.num_images:
            promised = f"the manifest says {self._layout.num_images} images"
            detail = f"{promised}, the file has {len(rows_of)}; render them again."
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
            place=_place(truth, first) if truth.has("group")[first] else None,
        )

    def _person(self, truth: Columns, row: int) -> PersonRecord:
        return PersonRecord(
            index=int(truth["person"][row]),
            bbox_xyxy=truth["bbox_xyxy"][row],
            keypoints=truth["keypoints_2d"][row] if self._keypoints == "coco_wholebody" else None,
            truth={name: truth[name][row] for name in LABEL_PARAMETERS},
            track=int(truth["track"][row]) if truth.has("track")[row] else None,
        )


def _place(truth: Columns, row: int) -> Place:
    return Place(
        group=truth["group"][row],
        frame=int(truth["frame"][row]),
        time_s=float(truth["time_s"][row]),
        camera=truth["camera"][row],
        world_to_camera=truth["world_to_camera"][row],
    )


def _image_id(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _load_truth(root: Path) -> Columns:
    path = inside(root, TRUTH_FILE)
    try:
        return Columns(read_shard(path, label_schema(in_groups=True)))
    except FileNotFoundError as error:
        raise ValueError(f"The file {path} does not exist; render the synthetic people first.") from error
