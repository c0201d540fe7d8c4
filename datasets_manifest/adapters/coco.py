"""COCO person annotations, with or without COCO-WholeBody's 133 keypoints.

Layout: a folder of images and one JSON file. Images are from Flickr and keep their owners' terms; the annotations are
CC BY 4.0 (COCO-WholeBody: for non-commercial research). An image's id is its number in the JSON file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.image_sources import ARCHIVE_SUFFIX, MEMBER_MARK, ImageSource

PERSON_CATEGORY = 1
LIMB_KEYPOINTS = slice(5, 17)
"""Shoulders, elbows, wrists, hips, knees, ankles: the twelve that the usual evaluation filter asks for."""

MAX_NUMBER = 1e9
"""A coordinate or size at or above this is a slip of the annotation; it would not fit its column."""

BODY_SCORES = np.array([0.0, 0.5, 1.0], dtype=np.float32)
"""Score of a body or foot point by COCO's flag: 0 not labelled, 1 labelled but hidden, 2 visible."""

# Blocks after the body: keypoints, their validity flag, number of points. Body and feet carry COCO's 0/1/2 flag, face
# and hands a confidence (which is 0..1, or 1 and 2 where a person labelled them).
_WHOLEBODY_BLOCKS = (
    ("foot_kpts", "foot_valid", 6),
    ("face_kpts", "face_valid", 68),
    ("lefthand_kpts", "lefthand_valid", 21),
    ("righthand_kpts", "righthand_valid", 21),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoLayout:
    """Where images and annotations are, and which people count."""

    annotations: Text
    """JSON file, relative to the root."""
    images: Text = "."
    """Folder or tar file of the images, relative to the root."""
    require_limbs: bool = False
    """Keep only people whose twelve limb keypoints are all labelled (the usual evaluation filter)."""
    only_with_people: bool = True
    """Leave out images without an annotated person."""


@register("coco")
class CocoAdapter:
    """People of a COCO-style JSON file. A person's index counts the image's non-crowd annotations by their id."""

    Layout: ClassVar[type] = CocoLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"manifest", "detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none", "coco", "coco_wholebody"})

    def __init__(self, images: ImageSource, layout: CocoLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout
        self._boxes = boxes
        self._keypoint_set = keypoints
        if layout.require_limbs and keypoints == "none":
            raise ValueError(
                "layout.require_limbs keeps people by their annotated limbs, but keypoints is 'none', so nobody would "
                "be left; set keypoints to coco or coco_wholebody, or drop require_limbs."
            )

    def entries(self) -> Iterator[Entry]:
        """List images and people; crowds and people without all limbs (where asked for) are left out and counted."""
        content = _load_json(self._images.root, self._layout.annotations)
        images, missing = _index_images(content["images"])
        people: defaultdict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        yield from missing
        crowds = limbless = empty = 0
        for position, row in enumerate(content["annotations"]):
            problem = _row_problem(row, images)
            if problem:
                where = f"{self._layout.annotations} annotations[{position}]"
                yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, problem)
            elif row.get("iscrowd"):
                crowds += 1
            elif row.get("category_id", PERSON_CATEGORY) == PERSON_CATEGORY:
                people[row["image_id"]].append(row)
        paths: set[str] = set()
        for image_id, image in sorted(images.items()):
            persons, problems = self._persons(sorted(people[image_id], key=lambda row: row["id"]))
            kept = tuple(p for p in persons if p.error_code or not self._layout.require_limbs or _has_all_limbs(p))
            limbless += len(persons) - len(kept)
            if not kept and self._layout.only_with_people:
                empty += 1
                continue
            record = self._record(image_id, image, kept if self._boxes == "manifest" else ())
            paths.add(record.path)
            yield from problems
            yield record
        yield from Missing.photos(self._images, paths)
        yield LeftOut("crowds left out", crowds)
        yield LeftOut("people without all limbs left out", limbless)
        yield LeftOut("images without people left out", empty)

    def _record(self, image_id: int, image: Mapping[str, Any], people: tuple[PersonRecord, ...]) -> ImageRecord:
        folder = "" if self._layout.images in (".", "./") else self._layout.images.rstrip("/")
        if folder:
            folder += MEMBER_MARK if folder.endswith(ARCHIVE_SUFFIX) else "/"
        return ImageRecord(
            image_id=str(image_id),
            path=folder + image["file_name"],
            people=people,
            width=_positive_int(image.get("width")),
            height=_positive_int(image.get("height")),
        )

    def _persons(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[PersonRecord], list[Missing]]:
        persons: list[PersonRecord] = []
        problems: list[Missing] = []
        for index, row in enumerate(rows):
            try:
                box = _box_xyxy(row)
                keypoints = None if self._keypoint_set == "none" else self._keypoints(row)
                persons.append(PersonRecord(index=index, bbox_xyxy=box, keypoints=keypoints))
            except _RowError as error:
                detail = f"annotation {row['id']} of image {row['image_id']}: {error}"
                problems.append(Missing.of(f"{self._layout.annotations} id {row['id']}", error.code, detail))
                persons.append(PersonRecord(index=index, error_code=error.code, error_detail=detail))
        return persons, problems

    def _keypoints(self, row: Mapping[str, Any]) -> np.ndarray:
        """(133, 3) float32: x px, y px, score; zeros where nothing is labelled."""
        body = _flagged(_triplets(row, "keypoints", 17, required=False))
        if self._keypoint_set == "coco":
            return np.concatenate([body, np.zeros((116, 3), dtype=np.float32)])
        blocks = [body]
        for name, valid, count in _WHOLEBODY_BLOCKS:
            points = _triplets(row, name, count, required=True)
            if not row.get(valid):
                points = np.zeros_like(points)
            blocks.append(_flagged(points) if name == "foot_kpts" else _scored(points))
        return np.concatenate(blocks)


class _RowError(ValueError):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _load_json(root: Path, relative: str) -> dict[str, list[Any]]:
    path = inside(root, relative, links="follow")  # The manifest names it, not the data.
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"The annotation file {path} does not exist; put it there or correct the manifest.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The annotation file {path} is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise ValueError(f"The annotation file {path} is not in COCO's format: it needs lists 'images', 'annotations'.")
    return content


def _index_images(rows: Sequence[Any]) -> tuple[dict[int, Mapping[str, Any]], list[Missing]]:
    images: dict[int, Mapping[str, Any]] = {}
    missing: list[Missing] = []
    for position, row in enumerate(rows):
        where = f"images[{position}]"
        if not isinstance(row, dict) or not _is_int(row.get("id")) or not _is_text(row.get("file_name")):
            missing.append(Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, "needs a whole number id and a file_name."))
        elif row["id"] in images:
            missing.append(Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, f"the id {row['id']} occurs twice."))
        else:
            images[row["id"]] = row
    return images, missing


def _row_problem(row: Any, images: Mapping[int, Any]) -> str | None:
    """Why an annotation cannot even be given to an image and a person."""
    if not isinstance(row, dict) or not _is_int(row.get("id")) or not _is_int(row.get("image_id")):
        return "needs a whole number id and image_id."
    if row["image_id"] not in images:
        return f"annotation {row['id']} belongs to image {row['image_id']}, which is not in the list of images."
    return None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    # JSON can spell half a surrogate pair, which no file name and no Parquet text can hold.
    return isinstance(value, str) and bool(value) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _positive_int(value: Any) -> int | None:
    return value if _is_int(value) and 0 < value < MAX_NUMBER else None


def _numbers(row: Mapping[str, Any], name: str, count: int) -> np.ndarray:
    """(count,) float32 of a JSON list of plain numbers."""
    values = row.get(name)
    if isinstance(values, list) and len(values) == count and set(map(type, values)) <= {int, float}:
        try:
            numbers = np.array(values, dtype=np.float64)
        except OverflowError:
            numbers = np.full(count, np.inf)
        if (np.abs(numbers) < MAX_NUMBER).all():
            return numbers.astype(np.float32)
    got = f"{len(values)} values" if isinstance(values, list) else repr(values)
    raise _RowError(ErrorCode.SOURCE_ROW_INVALID, f"{name} must be {count} numbers below 1e9, got {got}.")


def _box_xyxy(row: Mapping[str, Any]) -> np.ndarray:
    x, y, width, height = _numbers(row, "bbox", 4)
    if width <= 0 or height <= 0:
        raise _RowError(ErrorCode.BOX_INVALID, f"the box is {width} px wide and {height} px high.")
    return np.array([x, y, x + width, y + height], dtype=np.float32)


def _triplets(row: Mapping[str, Any], name: str, count: int, *, required: bool) -> np.ndarray:
    """(count, 3) float32 as written; zeros for an absent block that may be absent."""
    if name not in row and not required:
        return np.zeros((count, 3), dtype=np.float32)
    return _numbers(row, name, 3 * count).reshape(count, 3)


def _flagged(points: np.ndarray) -> np.ndarray:
    """(N, 3) with COCO's flag 0/1/2 -> (N, 3) with a score; points that are not labelled become zero."""
    flags = points[:, 2]
    if not np.isin(flags, (0, 1, 2)).all():
        raise _RowError(ErrorCode.SOURCE_ROW_INVALID, "a keypoint's flag is none of 0, 1, 2.")
    return _masked(points, BODY_SCORES[flags.astype(np.int64)])


def _scored(points: np.ndarray) -> np.ndarray:
    """(N, 3) with a confidence -> (N, 3) with a score 0..1."""
    return _masked(points, np.clip(points[:, 2], 0.0, 1.0))


def _masked(points: np.ndarray, score: np.ndarray) -> np.ndarray:
    kept = np.where(score[:, None] > 0, points[:, :2], 0.0)
    return np.concatenate([kept, score[:, None]], axis=1).astype(np.float32)


def _has_all_limbs(person: PersonRecord) -> bool:
    return person.keypoints is not None and bool((person.keypoints[LIMB_KEYPOINTS, 2] > 0).all())
