"""AVA's CSV: one row an action, so that a person has several; boxes are shares of the frame, times whole seconds.

A row is video, time, left, top, right, bottom, action, person. Rows of one frame follow each other. Frames are photos
that were taken out of the films, or the films themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.reading import fill_in, people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_of, numbers
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, image_size
from datasets_manifest.sources.video import frame_name, is_video

_COLUMNS, _PERSON = 8, 7
_Frame = tuple[str, int]
"""Video and time, s."""


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Frames in the order of the file.

    Raises:
        ValueError: A file is missing, or no CSV of AVA.
    """
    excluded = (
        frozenset(frame for frame, _, _ in _rows(images.root, layout.excluded)) if layout.excluded else frozenset()
    )
    films = _Films(images, layout)
    seen: set[_Frame] = set()
    num_excluded = 0
    for frame, rows in groupby(_rows(images.root, layout.annotations), key=lambda row: row[0]):
        video, time = frame
        fields = [(line, values) for _, line, values in rows]
        if frame in excluded:
            num_excluded += 1
        elif frame in seen:
            detail = f"rows of {video} at {time} s stand apart from others of it; sort the file by video and time."
            yield Missing.of(f"{layout.annotations} line {fields[0][0]}", ErrorCode.SOURCE_ROW_INVALID, detail)
        else:
            seen.add(frame)
            yield from films.photo(video, time, fields)
    yield LeftOut("frames left out, which layout.excluded names", num_excluded)


class _Films:
    """Places and sizes of frames; all of one film are as large."""

    def __init__(self, images: ImageSource, layout: TableLayout) -> None:
        self._images = images
        self._layout = layout
        self._size: tuple[str, tuple[int, int]] | None = None

    def photo(self, video: str, time: int, rows: Sequence[tuple[int, list[str]]]) -> Iterator[Entry]:
        name = fill_in(self._layout.photo or "{video}/{time}.jpg", video=video, time=f"{time:04d}")
        place = photo_path(self._layout.images, name)
        try:
            if is_video(place):
                place = self._frame(place, time)
            width, height = self._size_of(video, place)
        except ImageError as error:
            detail = f"the size of the frame is not known, and boxes are shares of it: {error.detail}"
            people = (PersonRecord(index=0, error_code=error.code, error_detail=detail),)
            yield ImageRecord(image_id=f"{video}/{time:04d}", path=place, people=people)
            return
        # A person occurs once for each action.
        by_person = {values[_PERSON]: (values, line) for line, values in rows if len(values) == _COLUMNS}
        people_rows = [
            ({"box": values[2:6], "size": (width, height)}, str(line))
            for _, (values, line) in sorted(by_person.items(), key=lambda item: (len(item[0]), item[0]))
        ]
        problems, people = people_or_reasons(_person, people_rows, f"{self._layout.annotations} line")
        yield from problems
        yield ImageRecord(image_id=f"{video}/{time:04d}", path=place, people=tuple(people), width=width, height=height)

    def _frame(self, place: str, time: int) -> str:
        """The frame of a film at a time: the last that is shown by then."""
        clip = self._images.clip(place)
        low, high = 0, clip.num_frames
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if clip.time_s(middle) <= time else (low, middle)
        return f"{place}{MEMBER_MARK}{frame_name(low)}"

    def _size_of(self, video: str, place: str) -> tuple[int, int]:
        if self._size is None or self._size[0] != video:
            self._size = (video, image_size(self._images.read(place), place))
        return self._size[1]


def _person(row: dict, index: int) -> PersonRecord:
    shares = numbers(row, "box", (4,))
    if shares.min() < 0 or shares.max() > 1:
        raise RowError(f"the box must be shares of the frame, 0 to 1, got {row['box']}.")
    return PersonRecord(index=index, bbox_xyxy=box_of(shares * np.tile(row["size"], 2), "xyxy"))


def _rows(root: Path, relative: str) -> Iterator[tuple[_Frame, int, list[str]]]:
    """Frame, line and fields of every row."""
    path = inside(root, relative, links="follow")  # The manifest names it, not the data.
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise ValueError(f"The annotation file {path} does not exist; put it there or correct the manifest.") from error
    with file:
        yield from _parsed(file, path)


def _parsed(file: IO[str], path: Path) -> Iterator[tuple[_Frame, int, list[str]]]:
    try:
        for line, values in enumerate(csv.reader(file), 1):
            if not values:
                continue
            if len(values) not in (2, _COLUMNS):
                raise ValueError(f"line {line} has {len(values)} fields, expected {_COLUMNS}, or 2 without a person")
            yield (values[0], int(float(values[1]))), line, values
    except (ValueError, OverflowError, csv.Error) as error:
        raise ValueError(f"The annotation file {path} is no CSV of AVA: {error}.") from error
