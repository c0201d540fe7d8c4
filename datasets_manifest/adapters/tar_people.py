"""Training tars of published methods: photos with a pickled list of people each, read where they lie.

Members of one photo share a key, which may hold a folder: ``set/p1.jpg``, ``set/p1.data.pyd``. A key ends at the first
dot of the base name. The pickles are read by the one restricted unpickler. An image's id is the place of its photo. One
tar file is held at a time, so that a data set may have any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, MaskReader, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people import hmr2, pear, sam3d_body
from datasets_manifest.adapters.people.adapter import PublishedPeople
from datasets_manifest.adapters.people.hmr2_filters import Hmr2Filters
from datasets_manifest.adapters.people.masks import DETECTION, detected_mask, stated_mask
from datasets_manifest.adapters.people.points_3d import Points3dLayout
from datasets_manifest.adapters.people.reading import person_or_reason, with_own_box
from datasets_manifest.adapters.people.tar_members import by_key, prefix_of, whole_archives
from datasets_manifest.adapters.people.unit_checks import check_people
from datasets_manifest.adapters.point_checks import with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.restricted_pickle import PickleError, unpickle
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive

_PHOTOS = ("jpg", "jpeg", "png")
_READERS: dict[str, Callable[[Mapping[str, Any], int, str], PersonRecord]] = {
    "hmr2": hmr2.person,
    "pear": pear.person,
    "sam3d_body": sam3d_body.person,
}
_BOX_FACTORS = {"hmr2": hmr2.BOX_FACTOR, "pear": hmr2.BOX_FACTOR, "sam3d_body": 1.0}
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
    filters: Hmr2Filters | None = None
    """Of hmr2: what is left out of labels by their own figures; {} is what HMR2 leaves out, null nothing."""
    box_factor: Annotated[float, Field(ge=0.5, le=4)] | None = None
    """By how much boxes are larger than people, about their centres, who are taken without that; null: as the records
    have it, 1.2 of hmr2 and pear."""
    points_3d: Points3dLayout | None = None
    """Of hmr2: how the points in 3D are to be taken, which labels are fitted to then; null: evaluation alone reads
    them."""

    def __post_init__(self) -> None:
        for name in ("filters", "points_3d"):
            if getattr(self, name) is not None and self.records != "hmr2":
                raise ValueError(f"{name}: are of records hmr2, got them with {self.records}")


@register("tar_people")
class TarPeopleAdapter(PublishedPeople[TarPeopleLayout]):
    """People of training tars. A person's index is the place in the list of the photo."""

    Layout: ClassVar[type] = TarPeopleLayout

    def entries(self) -> Iterator[Entry]:
        """List photos and people, tar file by tar file, each sorted by key.

        Raises:
            ValueError: No tar file matches, or the data are in another unit.
        """
        archives, problems = whole_archives(self._images, self._layout.archives, "layout.archives")
        yield from problems  # What cannot be looked into is told before the first photo.
        yield from with_points_checked(self._listed(archives), partial(check_people, source=str(self._images.root)))

    def _listed(self, archives: Iterable[tuple[str, Callable[[], TarArchive]]]) -> Iterator[Entry]:
        left_out: Counter[str] = Counter()
        for name, index in archives:
            archive = index()
            prefix = prefix_of(name)
            for member, problem in archive.problems():
                yield Missing.of(prefix + member, problem.code, problem.detail)
            for key, members in by_key(archive):
                if key in self._layout.skip:
                    left_out["photos left out, which layout.skip names"] += 1
                else:
                    yield from self._photo(archive, prefix, key, members, left_out)
        yield from (LeftOut(what, number) for what, number in left_out.items())

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
                    if (reason := self._reason(record)) is not None:
                        left_out[reason] += 1
                        continue
                    person = self._person(record, index, f"person {index} of {place}")
                    if person.error_code:
                        detail = person.error_detail or ""
                        yield Missing.of(f"{place} person {index}", person.error_code, detail, has_row=True)
                    else:
                        try:
                            person = replace(person, mask=self._mask(archive, members, record, left_out))
                        except RowError as error:
                            yield Missing.of(f"{place} mask of person {index}", error.code, str(error))
                    people.append(person)
        focal, centre = camera or (None, None)
        yield ImageRecord(image_id=place, path=place, people=tuple(people), focal_px=focal, principal_px=centre)

    def _camera(self, records: list[Any]) -> tuple[float, tuple[float, float]] | None:
        if self._layout.records != "sam3d_body" or not records or not isinstance(records[0], dict):
            return None
        return sam3d_body.focal_and_centre(records[0])

    def _reason(self, record: Any) -> str | None:
        """Why a person is left out; None for those who stay, and for those who cannot be read."""
        filters = self._layout.filters
        try:
            return filters.reason(filters.applied(record)) if filters is not None and isinstance(record, dict) else None
        except RowError:
            return None

    def _mask(
        self, archive: TarArchive, members: Mapping[str, str], record: Mapping[str, Any], left_out: Counter[str]
    ) -> MaskReader | None:
        """The mask of a person; raises as ``stated_mask``."""
        is_beside = self._layout.records == "hmr2" and DETECTION in members
        mask = detected_mask(archive, members[DETECTION], record) if is_beside else stated_mask(record.get("mask"))
        is_said = is_beside or record.get("mask") is not None
        left_out["masks of people that are of no known form left out"] += is_said and mask is None
        return mask

    def _person(self, record: Any, index: int, where: str) -> PersonRecord:
        if not isinstance(record, dict):
            detail = f"{where} must be a dict of arrays, got {type(record).__name__}."
            return PersonRecord(index=index, error_code=ErrorCode.SOURCE_ROW_INVALID, error_detail=detail)
        filters, points = self._layout.filters, self._layout.points_3d
        reader = _READERS[self._layout.records]
        factor = self._layout.box_factor or _BOX_FACTORS[self._layout.records]

        def read() -> PersonRecord:
            own = record if filters is None else filters.applied(record)
            person = reader(own, index, where) if points is None else points.read(reader, own, index, where)
            return with_own_box(person, factor)

        return person_or_reason(read, index, where, keypoints=self._keypoints)


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
