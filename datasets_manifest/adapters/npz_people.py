"""People in one .npz file, a row each: the families of HMR2, SPIN, CameraHMR and HumanData.

The family decides the unit of the scale: pixels in HMR2's evaluation files, 200 pixels in those of SPIN and CameraHMR;
HumanData has boxes. Arrays are read by a list of names, object arrays by the one restricted unpickler. An image's id is
its name in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError, is_text, size_px
from datasets_manifest.adapters.people.adapter import PublishedPeople
from datasets_manifest.adapters.people.npz_families import FAMILIES, KEYPOINTS_OF_HUMANDATA, points_of
from datasets_manifest.adapters.people.npz_rows import NpzRows
from datasets_manifest.adapters.people.points_3d import Points3dLayout
from datasets_manifest.adapters.people.reading import person_or_reason, photo_path, with_missing_photos, with_own_box
from datasets_manifest.adapters.people.sam3d_body import focal_and_centre
from datasets_manifest.adapters.people.unit_checks import check_people, check_scale
from datasets_manifest.adapters.point_checks import with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KeypointSet, KeypointSetName
from datasets_manifest.settings import Text

_POINTS = ("part", "gtkps", *KEYPOINTS_OF_HUMANDATA)
"""Arrays that tell how many points a person has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NpzPeopleLayout:
    """Where images and rows are, and what the rows are."""

    family: Literal["hmr2", "spin", "camerahmr", "humandata"]
    """Whose arrays they are; it fixes the unit of the scale."""
    file: Text
    """The .npz file, relative to the root."""
    images: Text = "."
    """Folder or tar file that the names of photos are relative to, relative to the root."""
    keypoint_set: KeypointSetName | None = None
    """What the points are where the family has other ones than usual, such as the 17 of Human3.6M in a file like
    SPIN's; null for the family's own."""
    box_factor: Annotated[float, Field(ge=0.5, le=4)] | None = None
    """By how much boxes are larger than people, about their centres, who are taken without that; null: as the family
    has it, 1.2 of hmr2 and spin, and of humandata what the file states."""
    points_3d: Points3dLayout | None = None
    """Of hmr2 and spin: how the points in 3D are to be taken, which labels are fitted to then; null: evaluation alone
    reads them."""

    def __post_init__(self) -> None:
        if self.points_3d is not None and self.family not in ("hmr2", "spin"):
            raise ValueError(f"points_3d: are of the families hmr2 and spin, got them with {self.family}")


@register("npz_people")
class NpzPeopleAdapter(PublishedPeople[NpzPeopleLayout]):
    """People of an .npz file. A person's index counts the photo's rows in the order of the file."""

    Layout: ClassVar[type] = NpzPeopleLayout

    def entries(self) -> Iterator[Entry]:
        """List photos and people, sorted by name.

        Raises:
            ValueError: The file cannot be read or is of another family, or the data are in another unit.
        """
        path = inside(self._images.root, self._layout.file, links="follow")  # The manifest names it, not the data.
        family = FAMILIES[self._layout.family]
        rows = NpzRows(path, family)
        given = next((rows.arrays[name] for name in _POINTS if name in rows.arrays), None)
        if given is not None and any(name in KEYPOINTS_OF_HUMANDATA for name in rows.arrays):
            given = None  # A compressed file has fewer; its mask was looked at.
        try:
            own = points_of(family, self._layout.keypoint_set, given)
        except ValueError as error:
            raise ValueError(f"The file {path}: {error}") from error
        if family.scale_in_pixels is not None and "scale" in rows.arrays:
            check_scale(np.asarray(rows.arrays["scale"]), in_pixels=family.scale_in_pixels, source=str(path))
        entries = with_points_checked(self._listed(rows, own), partial(check_people, source=str(path)))
        yield from with_missing_photos(self._images, entries)

    def _listed(self, rows: NpzRows, own: KeypointSet) -> Iterator[Entry]:
        factor = rows.box_factor if self._layout.box_factor is None else self._layout.box_factor
        for name, numbers in rows.by_photo():
            if not is_text(name):
                for number in numbers:
                    where = f"{self._layout.file} row {number}"
                    yield Missing.of(where, ErrorCode.SOURCE_ROW_INVALID, "its photo has no name that can be read.")
                continue
            people: list[PersonRecord] = []
            for index, number in enumerate(numbers.tolist() if self._boxes == "manifest" else ()):
                where = f"row {number} of {self._layout.file}"
                read = partial(self._person, rows.row(number), index, where, own, factor)
                person = person_or_reason(read, index, where, keypoints=self._keypoints)
                if person.error_code:
                    detail = person.error_detail or ""
                    yield Missing.of(f"{self._layout.file} row {number}", person.error_code, detail, has_row=True)
                people.append(person)
            first = rows.row(int(numbers[0]))
            focal, centre = _camera(first)
            yield ImageRecord(
                image_id=name,
                path=photo_path(self._layout.images, name),
                people=tuple(people),
                width=_size(first, "meta/width"),
                height=_size(first, "meta/height"),
                focal_px=focal,
                principal_px=centre,
            )

    def _person(self, row: dict[str, Any], index: int, where: str, own: KeypointSet, factor: float) -> PersonRecord:
        reader, points = FAMILIES[self._layout.family].person, self._layout.points_3d
        person = reader(row, index, where, own) if points is None else points.read(reader, row, index, where, own)
        return with_own_box(person, factor)


def _camera(row: dict[str, Any]) -> tuple[float | None, tuple[float, float] | None]:
    try:
        return focal_and_centre(row) or (None, None)
    except RowError:
        return None, None


def _size(row: dict[str, Any], name: str) -> int | None:
    value = row.get(name)
    return size_px({name: value.item()}, name) if isinstance(value, np.generic) else None
