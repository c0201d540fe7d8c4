"""People annotated in COCO's form: COCO itself, COCO-WholeBody's 133 keypoints, and the many sets that borrow the form.

Layout: a folder of images and one JSON file or more. COCO's images are from Flickr and keep their owners' terms; its
annotations are CC BY 4.0 (COCO-WholeBody: for non-commercial research). An image's id is its number in the JSON file,
where there may be several with the file's name before it. People and their keypoints are told by the names that a file
gives its categories and points (``coco_categories``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_categories import PersonCategories, person_categories
from datasets_manifest.adapters.coco_files import annotation_files, read_videos
from datasets_manifest.adapters.coco_index import CocoIndex
from datasets_manifest.adapters.coco_layout import DROPPED, CocoLayout, filled_in
from datasets_manifest.adapters.coco_masks import CocoMasks
from datasets_manifest.adapters.coco_points import read_points
from datasets_manifest.adapters.coco_rules import (
    ELSEWHERE,
    RULES,
    TAKEN,
    UNLABELLED,
    image_state,
    is_taken,
    rule_against,
)
from datasets_manifest.adapters.coco_smplx import SmplxEntries, smplx_truth
from datasets_manifest.adapters.coco_values import RowError, box_xyxy, ignored_regions, size_px
from datasets_manifest.adapters.people.reading import with_missing_photos
from datasets_manifest.adapters.point_checks import check_first_pixel, check_order, with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
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
        told = self._entries()
        checked = with_points_checked(told, self._check) if self._boxes == "manifest" else told
        return with_missing_photos(self._images, checked)

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
        left_out: Counter[str] = Counter()
        beside: set[tuple[str, ...]] = set()
        for file in annotation_files(root, layout.annotations):
            with self._index(file, videos) as index, ExitStack() as opened:
                categories, smplx = self._categories(index), None
                if layout.smplx is not None:
                    smplx = opened.enter_context(SmplxEntries(root, filled_in(layout.smplx, file)))
                listed = _File(file, layout, self._keypoint_set, categories, smplx)
                yield from listed.entries(index, left_out, with_people=self._boxes == "manifest")
            beside |= {own.left_out for own in categories.people.values()}
        yield from (LeftOut(what, number) for what, number in left_out.items())
        if self._keypoint_set != "none":
            for points in beside:
                yield LeftOut(f"points of a person beside the 133 ({', '.join(points)})", len(points))

    def _index(self, file: str, videos: frozenset[str] | None) -> CocoIndex:
        path = inside(self._images.root, file, links="follow")  # The manifest names it, not the data.
        layout = self._layout
        return CocoIndex(
            path,
            file,
            image_state=partial(image_state, layout, videos),
            annotation_state=partial(rule_against, layout),
            every_nth=layout.every_nth,
        )

    def _categories(self, index: CocoIndex) -> PersonCategories:
        try:
            wants_keypoints = self._keypoint_set != "none"
            return person_categories(
                index.categories, self._layout.category, self._layout.keypoint_set, keypoints=wants_keypoints
            )
        except ValueError as error:
            raise ValueError(f"The annotation file {index.path}: {error}.") from error


class _File:
    """One annotation file of a data set."""

    def __init__(
        self,
        file: str,
        layout: CocoLayout,
        keypoints: str,
        categories: PersonCategories,
        smplx: SmplxEntries | None,
    ) -> None:
        self._file, self._layout, self._keypoints = file, layout, keypoints
        self._categories, self._smplx = categories, smplx
        folder = filled_in(layout.images, file)
        folder = "" if folder in (".", "./") else folder.rstrip("/")
        self._folder = folder and folder + (MEMBER_MARK if folder.endswith(ARCHIVE_SUFFIX) else "/")
        self._prefix = f"{file.removesuffix('.json')}/" if layout.has_several else ""

    def entries(self, index: CocoIndex, left_out: Counter[str], *, with_people: bool) -> Iterator[Entry]:
        """What the file tells; whom it leaves out is counted in ``left_out``.

        Args:
            index: Of the file.
            left_out: Reason -> number, counted on.
            with_people: Whether images come with their people.
        """
        yield from index.missing
        left_out["images of other videos left out"] += int((index.image_states == ELSEWHERE).sum())
        left_out[DROPPED["is_labeled"]] += int((index.image_states == UNLABELLED).sum())
        left_out[f"annotations that are no {self._layout.every_nth}-th left out"] += index.num_passed
        kinds = [self._points_of(row) for row in index.kind_rows]
        points = {number: own for number, own in enumerate(kinds) if isinstance(own, KeypointSet)}
        yield from self._refused(index, kinds)
        chosen, crowds = self._chosen(index, kinds, left_out)
        borders, crowd_borders = (
            np.searchsorted(index.images_of[rows], np.arange(len(index.image_ids) + 1)) for rows in (chosen, crowds)
        )
        for image in np.flatnonzero(index.image_states == TAKEN).tolist():
            own = chosen[borders[image] : borders[image + 1]]
            if not len(own) and self._layout.only_with_people:
                left_out["images without people left out"] += 1
                continue
            image_id = int(index.image_ids[image])
            in_crowds = crowds[crowd_borders[image] : crowd_borders[image + 1]]
            image_row, all_rows = index.rows(image, [*own.tolist(), *in_crowds.tolist()])
            rows, masks = all_rows[: len(own)], CocoMasks(self._file, image_row, self._layout.first_pixel or 0)
            told = zip(index.annotation_ids[own].tolist(), rows, index.kinds[own].tolist(), strict=True)
            people = [(number, row, points[kind]) for number, row, kind in told]
            persons, problems = self._persons(image_id, people, index.names.get(image_id), masks)
            kept = tuple(p for p in persons if p.error_code or not self._layout.require_limbs or _has_all_limbs(p))
            left_out["people without all limbs left out"] += len(persons) - len(kept)
            if not kept and self._layout.only_with_people:
                left_out["images without people left out"] += 1
                continue
            record, problem = self._record(image_id, image_row, kept if with_people else ())
            record, ignored = masks.with_crowds(record, all_rows[len(own) :])
            problem += ignored
            yield from (*problems, *problem)
            yield record

    def _points_of(self, row: Mapping[str, Any]) -> KeypointSet | RowError | None:
        """The keypoints of a category, None of one that is no person; or why it cannot be told."""
        try:
            return self._categories.points_of(row)
        except RowError as error:
            return error

    def _refused(self, index: CocoIndex, kinds: Sequence[KeypointSet | RowError | None]) -> Iterator[Missing]:
        """Annotations that cannot be used, in the order of the file."""
        problems = list(index.problems)
        for row in np.flatnonzero(index.images_of < 0).tolist():
            number, image = int(index.annotation_ids[row]), int(index.stated_images[row])
            reason = RowError(f"annotation {number} is of image {image}, which is not in the list of images.")
            problems.append((int(index.positions[row]), reason))
        for kind, reason in enumerate(kinds):
            if isinstance(reason, RowError):
                rows = np.flatnonzero(is_taken(index) & (index.kinds == kind))
                problems += [(position, reason) for position in index.positions[rows].tolist()]
        for position, reason in sorted(problems, key=lambda problem: problem[0]):
            yield Missing.of(f"{self._file} annotations[{position}]", reason.code, str(reason))

    def _chosen(
        self, index: CocoIndex, kinds: Sequence[KeypointSet | RowError | None], left_out: Counter[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the annotations that are people of images, and of crowds that are left out, both by image and id;
        whom rules leave out is counted."""
        is_person = np.array([isinstance(own, KeypointSet) for own in kinds], bool)
        is_other = np.array([own is None for own in kinds], bool)
        taken = np.flatnonzero(is_taken(index))
        left_out["annotations of other categories left out"] += int(is_other[index.kinds[taken]].sum())
        taken = taken[is_person[index.kinds[taken]]]
        for number, rule in enumerate(RULES, 1):
            left_out[DROPPED[rule]] += int((index.annotation_states[taken] == number).sum())
        crowds = taken[index.annotation_states[taken] == 1 + RULES.index("iscrowd")]
        taken = taken[index.annotation_states[taken] == 0]
        if self._smplx is not None:
            has = self._smplx.has(index.annotation_ids[taken])
            left_out["people without SMPL-X left out"] += int((~has).sum())
            taken = taken[has]
        in_order = (np.lexsort((rows, index.annotation_ids[rows], index.images_of[rows])) for rows in (taken, crowds))
        return taken[next(in_order)], crowds[next(in_order)]

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
        self, image_id: int, rows: Sequence[_Person], names: Sequence[str] | None, masks: CocoMasks
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
                mask, problem = masks.of(row)
                persons.append(replace(self._person(index, number, row, points), mask=mask))
                problems += problem
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
            truth_3d=None if self._smplx is None else smplx_truth(self._smplx.entry(number)),
        )


def _has_all_limbs(person: PersonRecord) -> bool:
    return person.keypoints is not None and bool((person.keypoints[LIMB_KEYPOINTS, 2] > 0).all())
