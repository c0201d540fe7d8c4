"""SAM-3D-Body's labels as their tables hold them, a row a person, with the photos of the data sets they are of.

Rows of one photo follow each other. An image's id is the place of its first row, so that tables are read once, from
their beginning to their end, a few rows at a time. The photos are those that the data sets distribute, not the copies
that the tars of the same labels hold, which were compressed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError, is_text
from datasets_manifest.adapters.people import sam3d_body
from datasets_manifest.adapters.people.adapter import PublishedPeople, matching_files
from datasets_manifest.adapters.people.masks import packed_mask
from datasets_manifest.adapters.people.reading import person_or_reason, photo_path, with_missing_photos
from datasets_manifest.adapters.people.unit_checks import check_people
from datasets_manifest.adapters.point_checks import with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import Text

_NEEDED = ("dataset", "image", "keypoints_2d", "bbox", "bbox_format")
_WANTED = (
    *_NEEDED, "subject_idx", "subject_cnt", "keypoints_3d", "mhr_valid", "proto_valid", "cam_int", "mask_size",
    "mask_cnts",
)  # fmt: skip
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetPeopleLayout:
    """Which tables, and where their photos are."""

    records: Literal["sam3d_body"]
    """Whose rows they are."""
    files: Annotated[tuple[Text, ...], Field(min_length=1)] = ("*.parquet",)
    """Shell patterns of the tables, relative to the root."""
    images: Text = "."
    """Folder or tar file of the photos of the data set, relative to the root."""


@register("parquet_people")
class ParquetPeopleAdapter(PublishedPeople[ParquetPeopleLayout]):
    """People of tables. A person's index counts the rows of the photo."""

    Layout: ClassVar[type] = ParquetPeopleLayout

    def entries(self) -> Iterator[Entry]:
        """List photos and people, table by table.

        Raises:
            ValueError: No table matches, one lacks a column, or the data are in another unit.
        """
        root = self._images.root
        whole: list[str] = []
        # What cannot be looked into is told before the first photo.
        for name in matching_files(root, self._layout.files, "table"):
            try:
                self._open(name).close()
            except (pa.ArrowException, OSError) as error:
                yield _unreadable(name, error)
            else:
                whole.append(name)
        yield from with_missing_photos(
            self._images, with_points_checked(self._listed(whole), partial(check_people, source=str(root)))
        )

    def _open(self, name: str) -> pq.ParquetFile:
        # Mapped: read otherwise, a group of rows is in memory as long as it is gone through.
        file = pq.ParquetFile(inside(self._images.root, name, links="follow"), memory_map=True)
        absent = [column for column in _NEEDED if column not in file.schema_arrow.names]
        if absent:
            raise ValueError(
                f"The table {name} has no column {absent[0]}, which those of SAM-3D-Body have; correct layout.files."
            )
        return file

    def _listed(self, names: Iterable[str]) -> Iterator[Entry]:
        left_out: Counter[str] = Counter()
        for name in names:
            try:
                with self._open(name) as file:
                    for _, rows in groupby(_rows(file), key=lambda row: (row[1]["dataset"], row[1]["image"])):
                        yield from self._photo(name, list(rows), left_out)
            except (pa.ArrowException, OSError) as error:
                yield _unreadable(name, error)
        yield from (LeftOut(what, number) for what, number in left_out.items())

    def _photo(self, table: str, rows: Sequence[tuple[int, dict[str, Any]]], left_out: Counter[str]) -> Iterator[Entry]:
        first, row = rows[0]
        place = f"{table} row {first}"
        if not is_text(row["image"]):
            yield Missing.of(place, ErrorCode.SOURCE_ROW_INVALID, "its photo has no name that can be read.")
            return
        if row.get("subject_cnt") not in (None, len(rows)):
            left_out["photos some of whose people the tables lack"] += 1
        people: list[PersonRecord] = []
        for index, (number, record) in enumerate(rows if self._boxes == "manifest" else ()):
            where = f"{table} row {number}"
            read = partial(sam3d_body.person, record, index, where)
            person = person_or_reason(read, index, where, keypoints=self._keypoints)
            if person.error_code:
                yield Missing.of(where, person.error_code, person.error_detail or "", has_row=True)
            else:
                try:
                    mask = packed_mask(record.get("mask_size"), record.get("mask_cnts"))
                    person = replace(person, mask=mask)
                except RowError as error:
                    yield Missing.of(f"{where} mask", error.code, f"the mask of {where}: {error}")
            people.append(person)
        height, width = _size(row.get("mask_size"))
        try:
            focal, centre = sam3d_body.focal_and_centre(row) or (None, None)
        except RowError:
            focal, centre = None, None
        yield ImageRecord(
            image_id=f"{table}::{first:07d}",
            path=photo_path(self._layout.images, _own_path(row["dataset"], row["image"])),
            people=tuple(people),
            width=width,
            height=height,
            focal_px=focal,
            principal_px=centre,
        )


def _rows(file: pq.ParquetFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows and their numbers, a few at a time."""
    columns = [name for name in _WANTED if name in file.schema_arrow.names]
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
        values = [_values(batch.column(name)) for name in columns]
        for row in zip(*values, strict=True):
            yield number, dict(zip(columns, row, strict=True))
            number += 1


def _values(column: pa.Array) -> Iterable[Any]:
    """Values of the rows: arrays where all are lists of floats that are as long; Python lists of them are slow."""
    shape, inner = [len(column)], column
    while pa.types.is_list(inner.type) and len(inner) and not inner.null_count:
        lengths = pc.list_value_length(inner).to_numpy()
        if lengths.min() != lengths.max():
            break
        shape.append(int(lengths[0]))
        inner = inner.flatten()
    if not pa.types.is_floating(inner.type) or inner.null_count or len(shape) == 1:
        return column.to_pylist()
    return inner.to_numpy().reshape(shape)


def _own_path(dataset: Any, image: str) -> str:
    """Where a data set has a photo that the tables name."""
    if dataset == "coco" and image.count("_") == 2:
        return f"{image.split('_')[1]}/{image}"
    folders = {"mpii": "images/", "aic": "train/images/"}
    return folders.get(dataset, "") + image


def _size(mask_size: Any) -> tuple[int | None, int | None]:
    """Height and width of the photo, as its mask states them."""
    if not isinstance(mask_size, list) or len(mask_size) != 2 or min(mask_size) <= 0:
        return None, None
    return int(mask_size[0]), int(mask_size[1])


def _unreadable(name: str, error: Exception) -> Missing:
    return Missing.of(name, ErrorCode.LISTING_INCOMPLETE, f"the table cannot be read ({error}); fetch it again.")
