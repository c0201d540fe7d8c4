"""Training tars of published methods: photos with a pickled list of people each, read where they lie.

Members of one photo share a key, which may hold a folder: ``set/p1.jpg``, ``set/p1.data.pyd``. A key ends at the first
dot of the base name. The pickles are read by the one restricted unpickler. An image's id is the place of its photo. One
tar file is held at a time, so that a data set may have any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people import hmr2, pear, sam3d_body
from datasets_manifest.adapters.people.reading import person_or_reason
from datasets_manifest.adapters.people.unit_checks import with_units_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.restricted_pickle import PickleError, unpickle
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.folder_source import FolderSource
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive

_PHOTOS = ("jpg", "jpeg", "png")
_READERS: dict[str, Callable[[Mapping[str, Any], int, str], PersonRecord]] = {
    "hmr2": hmr2.person,
    "pear": pear.person,
    "sam3d_body": sam3d_body.person,
}
_PEOPLE = {"hmr2": "data.pyd", "pear": "annotation.pyd", "sam3d_body": "annotation.pyd"}
"""Ending of the member that holds the people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TarPeopleLayout:
    """Which tar files, and what their people are."""

    records: Literal["hmr2", "pear", "sam3d_body"]
    """Whose records they hold."""
    archives: Annotated[tuple[Text, ...], Field(min_length=1)] = ("*.tar",)
    """Shell patterns of the tar files, relative to the root; where the root is a tar file it is read, whatever they
    are."""
    skip: tuple[Text, ...] = ()
    """Keys that are left out, such as those known to be corrupt."""


@register("tar_people")
class TarPeopleAdapter:
    """People of training tars. A person's index is the place in the list of the photo."""

    Layout: ClassVar[type] = TarPeopleLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"manifest", "detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none", "coco", "coco_wholebody"})

    def __init__(self, images: ImageSource, layout: TarPeopleLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout
        self._boxes = boxes
        self._keypoints = keypoints

    def entries(self) -> Iterator[Entry]:
        """List photos and people, tar file by tar file, each sorted by key.

        Raises:
            ValueError: No tar file matches, or the data are in another unit.
        """
        archives = self._archives()
        if not archives:
            raise ValueError(
                f"no tar file in {self._images.root} matches {', '.join(self._layout.archives)}; correct "
                "layout.archives in the manifest, or fetch them."
            )
        # What cannot be looked into is told before the first photo. No index is kept: of all they would not fit.
        whole: list[str] = []
        for name in archives:
            try:
                self._index(name)
            except (ValueError, ImageError) as error:
                yield Missing.of(name or str(self._images.root), ErrorCode.LISTING_INCOMPLETE, str(error))
            else:
                whole.append(name)
        yield from with_units_checked(self._listed(whole), f"{self._images.root}")

    def _listed(self, archives: Iterable[str]) -> Iterator[Entry]:
        left_out: Counter[str] = Counter()
        for name in archives:
            archive = self._index(name)
            prefix = f"{name}{MEMBER_MARK}" if name else ""
            for member, problem in archive.problems():
                yield Missing.of(prefix + member, problem.code, problem.detail)
            for key, members in _by_key(archive):
                if key in self._layout.skip:
                    left_out["photos left out, which layout.skip names"] += 1
                else:
                    yield from self._photo(archive, prefix, key, members, left_out)
        yield from (LeftOut(what, number) for what, number in left_out.items())

    def _archives(self) -> list[str]:
        """Names of the tar files below the root, in the order of the ids of their photos; "" is the root itself."""
        root = self._images.root
        if root.is_file():
            return [""]
        found = {path.relative_to(root).as_posix() for pattern in self._layout.archives for path in root.glob(pattern)}
        return sorted(found, key=lambda name: name + MEMBER_MARK)

    def _index(self, name: str) -> TarArchive:
        if not name:
            return TarArchive.index(self._images.root)
        links = self._images.links if isinstance(self._images, FolderSource) else "follow"
        return TarArchive.index(inside(self._images.root, name, links))

    def _photo(
        self, archive: TarArchive, prefix: str, key: str, members: Mapping[str, str], left_out: Counter[str]
    ) -> Iterator[Entry]:
        ending = _PEOPLE[self._layout.records]
        photo = next((members[suffix] for suffix in _PHOTOS if suffix in members), None)
        if photo is None and ending not in members:
            left_out["members left out that are no part of a photo"] += len(members)
            return
        place = prefix + (photo or f"{key}.{_PHOTOS[0]}")
        if photo is None:
            detail = f"the tar file has the people of {key}, but no photo of them; fetch it again."
            yield Missing.of(place, ErrorCode.IMAGE_MISSING, detail, has_row=True)
        people: list[PersonRecord] = []
        camera = None
        if self._boxes == "manifest":
            try:
                records = _records(archive, members.get(ending), f"{place}: {ending}")
                camera = self._camera(records)
            except RowError as error:
                yield Missing.of(place, error.code, str(error), has_row=True)
                people.append(PersonRecord(index=0, error_code=error.code, error_detail=str(error)))
            else:
                for index, record in enumerate(records):
                    person = self._person(record, index, f"person {index} of {place}")
                    if person.error_code:
                        detail = person.error_detail or ""
                        yield Missing.of(f"{place} person {index}", person.error_code, detail, has_row=True)
                    people.append(person)
                masks = sum(isinstance(record, dict) and record.get("mask") is not None for record in records)
                left_out["masks of people not read"] += masks + ("detection.npz" in members)
        focal, centre = camera or (None, None)
        yield ImageRecord(image_id=place, path=place, people=tuple(people), focal_px=focal, principal_px=centre)

    def _camera(self, records: list[Any]) -> tuple[float, tuple[float, float]] | None:
        if self._layout.records != "sam3d_body" or not records or not isinstance(records[0], dict):
            return None
        return sam3d_body.focal_and_centre(records[0])

    def _person(self, record: Any, index: int, where: str) -> PersonRecord:
        if not isinstance(record, dict):
            detail = f"{where} must be a dict of arrays, got {type(record).__name__}."
            return PersonRecord(index=index, error_code=ErrorCode.SOURCE_ROW_INVALID, error_detail=detail)
        read = partial(_READERS[self._layout.records], record, index, where)
        return person_or_reason(read, index, where, keypoints=self._keypoints)


def _by_key(archive: TarArchive) -> Iterator[tuple[str, dict[str, str]]]:
    """Key -> ending -> member, in the order of the keys."""
    members: dict[str, dict[str, str]] = {}
    for member in archive.members:
        folder, slash, name = member.rpartition("/")
        stem, _, ending = name.partition(".")
        members.setdefault(folder + slash + stem, {})[ending.lower()] = member
    yield from sorted(members.items())


def _records(archive: TarArchive, member: str | None, where: str) -> list[Any]:
    """The list of people of a photo.

    Raises:
        RowError: There is none, or it is no list, damaged, or asks for what a pickle of arrays does not need.
    """
    if member is None:
        raise RowError(f"{where} is not in the tar file, so that the people of the photo are not known.")
    try:
        records = unpickle(archive.read(member), where)
    except (PickleError, ImageError) as error:
        raise RowError(str(error)) from error
    if not isinstance(records, list):
        raise RowError(f"{where} must be a list of people, got {type(records).__name__}.")
    return records
