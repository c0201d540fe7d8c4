"""People annotated in COCO's form: COCO itself, COCO-WholeBody's 133 keypoints, and the many sets that borrow the form.

Layout: a folder of images and one JSON file or more. COCO's images are from Flickr and keep their owners' terms; its
annotations are CC BY 4.0 (COCO-WholeBody: for non-commercial research). An image's id is its number in the JSON file,
where there may be several with the file's name before it. People and their keypoints are told by the names that a file
gives its categories and points (``coco_categories``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_categories import PersonCategories, person_categories
from datasets_manifest.adapters.coco_files import ImageRows, annotation_files, load_coco, read_videos, video_of
from datasets_manifest.adapters.coco_layout import DROPPED, CocoLayout, DropRule, filled_in
from datasets_manifest.adapters.coco_points import read_points
from datasets_manifest.adapters.coco_smplx import load_smplx, smplx_truth
from datasets_manifest.adapters.coco_values import RowError, box_xyxy, ignored_regions, is_crowd, size_px, whole_number
from datasets_manifest.adapters.point_checks import check_first_pixel, check_order, with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.schema.keypoint_sets import KeypointSet
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource

LIMB_KEYPOINTS = slice(5, 17)
"""Shoulders, elbows, wrists, hips, knees, ankles: the twelve that the usual evaluation filter asks for."""

_Person = tuple[int, Mapping[str, Any], KeypointSet]
"""Id of an annotation, its row, and what its keypoints are."""


@register("coco")
class CocoAdapter:
    """People of COCO-style JSON files. A person's index counts, by their id, those annotations of the image that no
    field of their own leaves out."""

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
        """List images and people, file by file; whoever the layout leaves out is counted by the reason.

        Raises:
            ValueError: A file is no COCO file, or its people or their keypoints cannot be told, or the first people say
                that these are in another order, or counted from another pixel.
        """
        has_people = self._boxes == "manifest"
        return with_points_checked(self._entries(), self._check) if has_people else self._entries()

    def _check(self, people: Sequence[PersonRecord]) -> None:
        source = f"{self._images.root / self._layout.annotations[0]}"
        if self._layout.check_order:
            way_out = (
                "Say what they are by layout.keypoint_set, or correct the names in the file; if people lie so, set "
                "layout.check_order to false."
            )
            check_order(people, source, way_out)
        if self._layout.first_pixel is None:
            check_first_pixel(people, source, "Set layout.first_pixel to 1, or to 0 if that is how it is.")

    def _entries(self) -> Iterator[Entry]:
        root, layout = self._images.root, self._layout
        videos = None if layout.videos is None else read_videos(root, layout.videos)
        paths: set[str] = set()
        left_out: Counter[str] = Counter()
        beside: set[tuple[str, ...]] = set()
        for file in annotation_files(root, layout.annotations):
            content, categories = self._content(file)
            smplx = None if layout.smplx is None else load_smplx(root, filled_in(layout.smplx, file))
            listed = _File(file, layout, self._keypoint_set, categories, smplx)
            for entry in listed.entries(content, videos, left_out, with_people=self._boxes == "manifest"):
                if isinstance(entry, ImageRecord):
                    paths.add(entry.path)
                yield entry
            beside |= {own.left_out for own in categories.people.values()}
        yield from Missing.photos(self._images, paths)
        yield from (LeftOut(what, number) for what, number in left_out.items())
        if self._keypoint_set != "none":
            for points in beside:
                yield LeftOut(f"points of a person beside the 133 ({', '.join(points)})", len(points))

    def _content(self, file: str) -> tuple[dict[str, Any], PersonCategories]:
        content = load_coco(self._images.root, file)
        try:
            wants_keypoints = self._keypoint_set != "none"
            return content, person_categories(
                content.get("categories"), self._layout.category, self._layout.keypoint_set, keypoints=wants_keypoints
            )
        except ValueError as error:
            raise ValueError(f"The annotation file {self._images.root / file}: {error}.") from error


class _File:
    """One annotation file of a data set."""

    def __init__(
        self,
        file: str,
        layout: CocoLayout,
        keypoints: str,
        categories: PersonCategories,
        smplx: Mapping[str, Any] | None,
    ) -> None:
        self._file, self._layout, self._keypoints = file, layout, keypoints
        self._categories, self._smplx = categories, smplx
        folder = filled_in(layout.images, file)
        folder = "" if folder in (".", "./") else folder.rstrip("/")
        self._folder = folder and folder + (MEMBER_MARK if folder.endswith(ARCHIVE_SUFFIX) else "/")
        self._prefix = f"{file.removesuffix('.json')}/" if layout.has_several else ""

    def entries(
        self, content: Mapping[str, Any], videos: frozenset[str] | None, left_out: Counter[str], *, with_people: bool
    ) -> Iterator[Entry]:
        """What the file tells; whom it leaves out is counted in ``left_out``.

        Args:
            content: Of the file.
            videos: Those whose images are taken, or left out; None: there are no such.
            left_out: Reason -> number, counted on.
            with_people: Whether images come with their people.
        """
        images = ImageRows.of(content["images"], self._file)
        yield from images.missing
        elsewhere = {number for number, row in images.rows.items() if not self._is_taken(row, videos)}
        unlabelled = {number for number, row in images.rows.items() if self._drops("is_labeled", row)} - elsewhere
        left_out["images of other videos left out"] += len(elsewhere)
        left_out[DROPPED["is_labeled"]] += len(unlabelled)
        people: defaultdict[int, list[_Person]] = defaultdict(list)
        for position, row in enumerate(content["annotations"]):
            if (position + 1) % self._layout.every_nth:
                left_out[f"annotations that are no {self._layout.every_nth}-th left out"] += 1
                continue
            try:
                number, image_id = whole_number(row, "id"), whole_number(row, "image_id")
                if image_id not in images.rows:
                    raise RowError(f"annotation {number} is of image {image_id}, which is not in the list of images.")
                if image_id in elsewhere or image_id in unlabelled:
                    continue
                points = self._categories.points_of(row)
            except RowError as error:
                yield Missing.of(f"{self._file} annotations[{position}]", error.code, str(error))
                continue
            if points is None:
                left_out["annotations of other categories left out"] += 1
            elif rule := self._rule_against(row):
                left_out[DROPPED[rule]] += 1
            elif self._smplx is not None and str(number) not in self._smplx:
                left_out["people without SMPL-X left out"] += 1
            else:
                people[image_id].append((number, row, points))
        for image_id in sorted(images.rows.keys() - elsewhere - unlabelled):
            rows = sorted(people[image_id], key=lambda person: person[0])
            persons, problems = self._persons(image_id, rows, images.names.get(image_id))
            kept = tuple(p for p in persons if p.error_code or not self._layout.require_limbs or _has_all_limbs(p))
            left_out["people without all limbs left out"] += len(persons) - len(kept)
            if not kept and self._layout.only_with_people:
                left_out["images without people left out"] += 1
                continue
            record, problem = self._record(image_id, images.rows[image_id], kept if with_people else ())
            yield from (*problems, *problem)
            yield record

    def _is_taken(self, image: Mapping[str, Any], videos: frozenset[str] | None) -> bool:
        """Whether an image is of a video that is taken."""
        return videos is None or (video_of(image["file_name"]) in videos) == (self._layout.videos_are == "taken")

    def _rule_against(self, row: Mapping[str, Any]) -> DropRule | None:
        """The rule that leaves a person out, None without one."""
        rules: tuple[DropRule, ...] = ("iscrowd", "num_keypoints", "valid_label")
        return next((rule for rule in rules if self._drops(rule, row)), None)

    def _drops(self, rule: DropRule, row: Mapping[str, Any]) -> bool:
        """Whether a rule is on and leaves a row out; a file without its field has no such rows."""
        if rule not in self._layout.drop or rule not in row:
            return False
        return is_crowd(row) if rule == "iscrowd" else row[rule] in (0, "0")  # False is 0 too.

    def _record(
        self, image_id: int, image: Mapping[str, Any], people: tuple[PersonRecord, ...]
    ) -> tuple[ImageRecord, list[Missing]]:
        """An image, and what of it cannot be used."""
        regions, problems = (), list[Missing]()
        try:
            regions = ignored_regions(image)
        except RowError as error:
            problems.append(Missing.of(f"{self._file} image {image_id}", error.code, f"image {image_id}: {error}"))
        record = ImageRecord(
            image_id=f"{self._prefix}{image_id}",
            path=self._folder + image["file_name"].lstrip("/"),  # Some writers have it at the start of every name.
            people=people,
            width=size_px(image, "width"),
            height=size_px(image, "height"),
            ignore_regions=regions,
        )
        return record, problems

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
                persons.append(self._person(index, number, row, points))
            except RowError as error:
                detail = f"annotation {number} of image {image_id}: {error}"
                problems.append(Missing.of(f"{self._file} id {number}", error.code, detail, has_row=True))
                persons.append(PersonRecord(index=index, error_code=error.code, error_detail=detail))
        return persons, problems

    def _person(self, index: int, number: int, row: Mapping[str, Any], points: KeypointSet) -> PersonRecord:
        keypoints, others, first = None, {}, self._layout.first_pixel or 0
        if self._keypoints != "none":
            whole = self._keypoints == "coco_wholebody"
            keypoints, others = read_points(row, points, self._layout.flags, whole=whole, first_pixel=first)
        return PersonRecord(
            index=index,
            bbox_xyxy=box_xyxy(row) - np.float32(first),
            keypoints=keypoints,
            other_points=others,
            truth_3d=None if self._smplx is None else smplx_truth(self._smplx[str(number)]),
        )


def _has_all_limbs(person: PersonRecord) -> bool:
    return person.keypoints is not None and bool((person.keypoints[LIMB_KEYPOINTS, 2] > 0).all())
