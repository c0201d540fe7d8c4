"""A person of a published record as an adapter tells it: with the points that are wanted, or with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.values import without_margin
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource

_BODY = 17
_PHOTOS_AT_ONCE = 100_000


def photo_path(folder: str, name: str) -> str:
    """Place of a photo by the folder or tar file of the layout and its name in an annotation, which may begin by /."""
    folder = "" if folder in (".", "./") else folder.rstrip("/")
    mark = MEMBER_MARK if folder.endswith(ARCHIVE_SUFFIX) else "/"
    return (folder + mark if folder else "") + name.lstrip("/")


def with_missing_photos(images: ImageSource, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries and, among them, the photos that are not there; so many names are held, however many there are."""
    paths: list[str] = []
    for entry in entries:
        yield entry
        if isinstance(entry, ImageRecord):
            paths.append(entry.path)
        if len(paths) >= _PHOTOS_AT_ONCE:
            yield from Missing.photos(images, paths)
            paths.clear()
    yield from Missing.photos(images, paths)


def person_or_reason(read: Callable[[], PersonRecord], index: int, where: str, *, keypoints: str) -> PersonRecord:
    """A person as it is read, or one with the reason why it cannot be.

    Args:
        read: Reads it.
        index: Its number in the photo.
        where: Names it in the reason.
        keypoints: As in the manifest: none, coco (the body's 17) or coco_wholebody.

    Raises:
        UnitError: The data set is in another unit.
    """
    try:
        person = read()
    except RowError as error:
        return PersonRecord(index=index, error_code=error.code, error_detail=f"{where}: {error}")
    return with_wanted(person, keypoints)


def people_or_reasons(
    read: Callable[[Any, int], PersonRecord], rows: Sequence[tuple[Any, str]], where: str
) -> tuple[list[Missing], list[PersonRecord]]:
    """People of a photo as they are read, and why some cannot be; those keep their places.

    Args:
        read: Reads a row, given its number in the photo.
        rows: Each with what it is called.
        where: What they are in.
    """
    problems: list[Missing] = []
    people: list[PersonRecord] = []
    for index, (row, name) in enumerate(rows):
        person = person_or_reason(partial(read, row, index), index, f"{where} {name}", keypoints="coco_wholebody")
        if person.error_code:
            problems.append(Missing.of(f"{where} {name}", person.error_code, person.error_detail or "", has_row=True))
        people.append(person)
    return problems, people


def with_wanted(person: PersonRecord, keypoints: str) -> PersonRecord:
    """A person with the points that a manifest asks for: none, coco (the body's 17) or coco_wholebody."""
    if keypoints == "none" or person.keypoints is None:
        return replace(person, keypoints=None, other_points={})
    if keypoints == "coco":
        of_body = np.zeros(person.keypoints.shape, np.float32)
        of_body[:_BODY] = person.keypoints[:_BODY]
        return replace(person, keypoints=of_body)
    return person


def with_own_box(person: PersonRecord, factor: float) -> PersonRecord:
    """A person whose box touches them, where it is larger by a factor."""
    if person.bbox_xyxy is None or factor == 1:
        return person
    return replace(person, bbox_xyxy=without_margin(person.bbox_xyxy, factor))


def with_wanted_people(entries: Iterable[Entry], boxes: str, keypoints: str) -> Iterator[Entry]:
    """The entries with the people and points that a manifest asks for; what is wrong with a person only where people
    are wanted."""
    for entry in entries:
        if isinstance(entry, ImageRecord):
            people = entry.people if boxes == "manifest" else ()
            yield replace(entry, people=tuple(with_wanted(person, keypoints) for person in people))
        elif boxes == "manifest" or not (isinstance(entry, Missing) and entry.has_row):
            yield entry


def fill_in(pattern: str, **values: str) -> str:
    """A pattern with values in the place of their names in braces."""
    for name, value in values.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern
