"""A person of a published record as an adapter tells it: with the points that are wanted, or with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
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
    if keypoints == "none" or person.keypoints is None:
        return replace(person, keypoints=None, other_points={})
    if keypoints == "coco":
        of_body = np.where(np.arange(len(person.keypoints))[:, None] < _BODY, person.keypoints, 0.0)
        return replace(person, keypoints=of_body.astype(np.float32))
    return person
