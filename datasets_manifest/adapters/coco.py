"""COCO person annotations, with or without COCO-WholeBody's 133 keypoints.

Layout: a folder of images and one JSON file. Images are from Flickr and keep their owners' terms; the annotations are
CC BY 4.0 (COCO-WholeBody: for non-commercial research). An image's id is its number in the JSON file. People and their
keypoints are told by the names that the file gives its categories and points (``coco_categories``).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_categories import PersonCategories, person_categories
from datasets_manifest.adapters.coco_values import (
    RowError,
    box_xyxy,
    flagged,
    in_wholebody,
    is_crowd,
    is_text,
    scored,
    size_px,
    triplets,
    whole_number,
)
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.keypoint_sets import KeypointSet, KeypointSetName
from datasets_manifest.settings import Text
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource

LIMB_KEYPOINTS = slice(5, 17)
"""Shoulders, elbows, wrists, hips, knees, ankles: the twelve that the usual evaluation filter asks for."""

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
    category: Text = "person"
    """Name of the category of people; capitals make no difference. A file that lists no categories has COCO's: 1."""
    keypoint_set: KeypointSetName = "coco"
    """What the keypoints are where the file does not name them."""
    require_limbs: bool = False
    """Keep only people whose twelve limb keypoints are all labelled (the usual evaluation filter)."""
    only_with_people: bool = True
    """Leave out images without an annotated person."""


@dataclass(frozen=True, slots=True)
class _Images:
    """Rows of images by their ids."""

    rows: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The first row of each id."""
    names: dict[int, list[str]] = field(default_factory=dict)
    """File names of the ids that stand for several."""
    missing: list[Missing] = field(default_factory=list)
    """Rows that are no image of their own."""


_Person = tuple[int, Mapping[str, Any], KeypointSet]
"""Id of an annotation, its row, and what its keypoints are."""


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
        """List images and people; crowds, other categories and people without all limbs (where asked for) are left out
        and counted.

        Raises:
            ValueError: The file is no COCO file, or its people or their keypoints cannot be told.
        """
        content, categories = self._content()
        images = _index_images(content["images"], self._layout.annotations)
        people: defaultdict[int, list[_Person]] = defaultdict(list)
        left_out: Counter[str] = Counter()
        yield from images.missing
        for position, row in enumerate(content["annotations"]):
            try:
                number, image_id = whole_number(row, "id"), whole_number(row, "image_id")
                if image_id not in images.rows:
                    raise RowError(f"annotation {number} is of image {image_id}, which is not in the list of images.")
                points = categories.points_of(row)
            except RowError as error:
                yield Missing.of(f"{self._layout.annotations} annotations[{position}]", error.code, str(error))
                continue
            if points is None:
                left_out["annotations of other categories left out"] += 1
            elif is_crowd(row):
                left_out["crowds left out"] += 1
            else:
                people[image_id].append((number, row, points))
        paths: set[str] = set()
        for image_id, image in sorted(images.rows.items()):
            rows = sorted(people[image_id], key=lambda person: person[0])
            persons, problems = self._persons(image_id, rows, images.names.get(image_id))
            kept = tuple(p for p in persons if p.error_code or not self._layout.require_limbs or _has_all_limbs(p))
            left_out["people without all limbs left out"] += len(persons) - len(kept)
            if not kept and self._layout.only_with_people:
                left_out["images without people left out"] += 1
                continue
            record = self._record(image_id, image, kept if self._boxes == "manifest" else ())
            paths.add(record.path)
            yield from problems
            yield record
        yield from Missing.photos(self._images, paths)
        yield from (LeftOut(what, number) for what, number in left_out.items())
        if self._keypoint_set != "none":
            for points in {own.left_out for own in categories.people.values()}:
                yield LeftOut(f"points a person left out, which the 133 lack ({', '.join(points)})", len(points))

    def _content(self) -> tuple[dict[str, Any], PersonCategories]:
        content = _load_json(self._images.root, self._layout.annotations)
        try:
            wants_keypoints = self._keypoint_set != "none"
            return content, person_categories(
                content.get("categories"), self._layout.category, self._layout.keypoint_set, keypoints=wants_keypoints
            )
        except ValueError as error:
            raise ValueError(f"The annotation file {self._images.root / self._layout.annotations}: {error}.") from error

    def _record(self, image_id: int, image: Mapping[str, Any], people: tuple[PersonRecord, ...]) -> ImageRecord:
        folder = "" if self._layout.images in (".", "./") else self._layout.images.rstrip("/")
        if folder:
            folder += MEMBER_MARK if folder.endswith(ARCHIVE_SUFFIX) else "/"
        return ImageRecord(
            image_id=str(image_id),
            path=folder + image["file_name"],
            people=people,
            width=size_px(image, "width"),
            height=size_px(image, "height"),
        )

    def _persons(
        self, image_id: int, rows: Sequence[_Person], names: Sequence[str] | None
    ) -> tuple[list[PersonRecord], list[Missing]]:
        """People of an image; ``names`` are its files where they are several."""
        persons: list[PersonRecord] = []
        problems: list[Missing] = []
        for index, (number, row, points) in enumerate(rows):
            try:
                if names:
                    raise RowError(
                        f"the image {image_id} is listed as {' and as '.join(map(repr, names))}, so nobody can tell "
                        "whose person this is; give every image an id of its own."
                    )
                keypoints = None if self._keypoint_set == "none" else self._keypoints(row, points)
                persons.append(PersonRecord(index=index, bbox_xyxy=box_xyxy(row), keypoints=keypoints))
            except RowError as error:
                detail = f"annotation {number} of image {image_id}: {error}"
                where = f"{self._layout.annotations} id {number}"
                problems.append(Missing.of(where, error.code, detail, has_row=True))
                persons.append(PersonRecord(index=index, error_code=error.code, error_detail=detail))
        return persons, problems

    def _keypoints(self, row: Mapping[str, Any], own: KeypointSet) -> np.ndarray:
        """(133, 3) float32: x px, y px, score; zeros where nothing is labelled."""
        found = np.zeros((133, 3), dtype=np.float32)
        if "keypoints" in row:
            points = triplets(row, "keypoints", len(own.points))
            found = in_wholebody(flagged(points, "keypoints", own.visible_flag), own)
        if self._keypoint_set == "coco":
            return found
        blocks = []
        for name, valid, count in _WHOLEBODY_BLOCKS:
            points = triplets(row, name, count)
            if not row.get(valid):
                points = np.zeros_like(points)
            blocks.append(flagged(points, name) if name == "foot_kpts" else scored(points))
        return np.concatenate([found[:17], *blocks])


def _load_json(root: Path, relative: str) -> dict[str, Any]:
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


def _index_images(rows: Sequence[Any], file: str) -> _Images:
    images = _Images()
    for position, row in enumerate(rows):
        try:
            number = whole_number(row, "id")
            if not is_text(row.get("file_name")):
                raise RowError(f"image {number} has no file_name that can be read.")
            if number in images.rows:
                first, again = images.rows[number]["file_name"], row["file_name"]
                if again not in (names := images.names.get(number, [first])):
                    images.names[number] = [*names, again]
                raise RowError(f"the id {number} of {again!r} is that of {first!r}, which is listed before.")
            images.rows[number] = row
        except RowError as error:
            images.missing.append(Missing.of(f"{file} images[{position}]", error.code, str(error)))
    return images


def _has_all_limbs(person: PersonRecord) -> bool:
    return person.keypoints is not None and bool((person.keypoints[LIMB_KEYPOINTS, 2] > 0).all())
