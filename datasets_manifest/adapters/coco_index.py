"""An annotation file in COCO's form as an index: which annotations are of which image, and where in the file both lie.

The file is read once from its beginning to its end, and then row by row as rows are asked for: 26 bytes are held of an
image, and 45 of an annotation, whatever they hold.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Missing
from datasets_manifest.adapters.coco_values import RowError, is_text, whole_number
from datasets_manifest.adapters.json_values import JsonValues, Placed

_MAX_ID = 2**63
StateOf = Callable[[Mapping[str, Any]], int]
"""A small number of a row, that says what becomes of it; never negative."""


class _Rows:
    """Columns of the rows of a list, in its order, those left out that cannot be used."""

    def __init__(self) -> None:
        self._ids, self._places, self._lengths = array("q"), array("q"), array("i")
        self._positions, self._states = array("i"), array("b")
        self.problems: list[tuple[int, RowError]] = []
        """Positions of those, with the reason."""

    def add(self, number: int, position: int, placed: Placed, state: int) -> None:
        if not -_MAX_ID <= number < _MAX_ID:
            raise RowError(f"the id {str(number)[:40]} is above 2^63, which no id is.")
        self._ids.append(number)
        self._places.append(placed.start)
        self._lengths.append(placed.length)
        self._positions.append(position)
        self._states.append(state)

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64."""
        return np.frombuffer(self._ids, np.int64)

    @property
    def positions(self) -> np.ndarray:
        """(N,) int32 numbers in the list."""
        return np.frombuffer(self._positions, np.int32)

    @property
    def states(self) -> np.ndarray:
        """(N,) int8."""
        return np.frombuffer(self._states, np.int8)

    def place(self, row: int) -> tuple[int, int]:
        """Where a row lies in the file, and how long it is."""
        return self._places[row], self._lengths[row]


class CocoIndex(AbstractContextManager["CocoIndex"]):
    """Images and annotations of a file, which stays open until the ``with`` block ends.

    Legend: I images, each once, sorted by id; A annotations, in the order of the file.
    """

    image_ids: np.ndarray
    """(I,) int64."""
    image_states: np.ndarray
    """(I,) int8 what becomes of an image."""
    missing: list[Missing]
    """Rows that are no image of their own."""
    names: dict[int, list[str]]
    """File names of the ids that stand for several."""
    annotation_ids: np.ndarray
    """(A,) int64."""
    annotation_states: np.ndarray
    """(A,) int8 what becomes of an annotation."""
    positions: np.ndarray
    """(A,) int32 numbers in the file's list."""
    stated_images: np.ndarray
    """(A,) int64 id of the image that an annotation says it is of."""
    images_of: np.ndarray
    """(A,) int64 number of that image among the I, -1 if the file does not list it."""
    kinds: np.ndarray
    """(A,) int32 number of its category among ``kind_rows``."""

    def __init__(self, path: Path, name: str, image_state: StateOf, annotation_state: StateOf, every_nth: int) -> None:
        """Read the file.

        Args:
            path: The file.
            name: What it is called in a reason.
            image_state: Of a row of ``images`` that has an id and a name.
            annotation_state: Of a row of ``annotations`` that has an id and an image.
            every_nth: Of all annotations the n-th, 2n-th and so on are taken.

        Raises:
            ValueError: It is not there, or no JSON in COCO's form.
        """
        self.path, self._name = path, name
        self._image_state, self._annotation_state, self._every_nth = image_state, annotation_state, every_nth
        self.categories: Any = None
        """As the file has them, None without."""
        self.kind_rows: list[dict[str, Any]] = []
        """What annotations say of their category, each once, and nothing else of them."""
        self.problems: list[tuple[int, RowError]] = []
        """Positions of annotations that cannot be used, with the reason."""
        self.num_passed = 0
        """Annotations that are no n-th."""
        self._images: _Rows | None = None
        self._annotations: _Rows | None = None
        self._stated_images, self._kinds = array("q"), array("i")
        try:
            self._values = JsonValues(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ValueError(
                f"The annotation file {path} does not exist; put it there or correct the manifest."
            ) from error
        except OSError as error:
            raise ValueError(f"The annotation file {path} cannot be read: {error}") from error
        with ExitStack() as unread:
            unread.callback(self._values.close)
            try:
                self._read()
            except (ValueError, RecursionError) as error:
                raise ValueError(f"The annotation file {path} is not valid JSON: {error}") from error
            if self._images is None or self._annotations is None:
                raise ValueError(
                    f"The annotation file {path} is not in COCO's format: it needs lists 'images', 'annotations'."
                )
            self._join(self._images, self._annotations)
            unread.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.close()

    def rows(self, image: int, annotations: Sequence[int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Rows of an image and of some annotations, by their numbers among the I and the A.

        Raises:
            ValueError: The file is another than it was.
        """
        assert self._images is not None, "a file without images is refused"
        assert self._annotations is not None, "and one without annotations"
        places = [self._images.place(int(self._first[image]))]
        first, *others = self._values.again(*places, *(self._annotations.place(row) for row in annotations))
        return first, others

    def _read(self) -> None:
        values = self._values
        if values.next_mark() != "{":
            values.skip()
        else:
            for member in values.members():
                is_list = values.next_mark() == "["
                if member.value == "images":  # Of two of one name the later counts, as for every reader of JSON.
                    self._images = self._read_images() if is_list else values.skip()
                elif member.value == "annotations":
                    self._annotations = self._read_annotations() if is_list else values.skip()
                elif member.value == "categories":
                    self.categories = values.value().value
                else:
                    values.skip()
        values.end()

    def _read_images(self) -> _Rows:
        rows = _Rows()
        for position, placed in enumerate(self._values.rows()):
            row = placed.value
            try:
                number = whole_number(row, "id")
                if not is_text(row.get("file_name")):
                    raise RowError(f"image {number} has no file_name that can be read.")
                rows.add(number, position, placed, self._image_state(row))
            except RowError as error:
                rows.problems.append((position, error))
        return rows

    def _read_annotations(self) -> _Rows:
        rows, kinds = _Rows(), dict[str, int]()
        self._stated_images, self._kinds, self.num_passed, self.kind_rows = array("q"), array("i"), 0, []
        for position, placed in enumerate(self._values.rows()):
            if (position + 1) % self._every_nth:
                self.num_passed += 1
                continue
            row = placed.value
            try:
                number, image = whole_number(row, "id"), whole_number(row, "image_id")
                if not -_MAX_ID <= image < _MAX_ID:
                    raise RowError(f"annotation {number} is of image {image}, which is not in the list of images.")
                rows.add(number, position, placed, self._annotation_state(row))
            except RowError as error:
                rows.problems.append((position, error))
                continue
            said = json.dumps(row["category_id"]) if "category_id" in row else ""
            if said not in kinds:
                kinds[said] = len(kinds)
                self.kind_rows.append({"category_id": row["category_id"]} if said else {})
            self._stated_images.append(image)
            self._kinds.append(kinds[said])
        return rows

    def _join(self, images: _Rows, annotations: _Rows) -> None:
        ids = images.ids
        self.image_ids, self._first = np.unique(ids, return_index=True)
        self.image_states = images.states[self._first]
        self.missing, self.names = self._told(images)
        self.annotation_ids, self.annotation_states = annotations.ids, annotations.states
        self.positions, self.problems = annotations.positions, annotations.problems
        self.stated_images = np.frombuffer(self._stated_images, np.int64)
        self.kinds = np.frombuffer(self._kinds, np.int32)
        found = np.searchsorted(self.image_ids, self.stated_images)
        found[found == len(self.image_ids)] = 0
        is_listed = self.image_ids[found] == self.stated_images if len(self.image_ids) else np.zeros(len(found), bool)
        self.images_of = np.where(is_listed, found, -1)

    def _told(self, images: _Rows) -> tuple[list[Missing], dict[int, list[str]]]:
        """Rows that cannot be used, in the order of the file, and the names of ids that are there again."""
        problems, names = list(images.problems), dict[int, list[str]]()
        is_again = np.ones(len(images.ids), bool)
        is_again[self._first] = False
        for row in np.flatnonzero(is_again).tolist():
            number = int(images.ids[row])
            before = int(self._first[np.searchsorted(self.image_ids, number)])
            first, again = (found["file_name"] for found in self._values.again(images.place(before), images.place(row)))
            if again not in (known := names.get(number, [first])):
                names[number] = [*known, again]
            reason = RowError(f"the id {number} of {again!r} is that of {first!r}, which is listed before.")
            problems.append((int(images.positions[row]), reason))
        problems.sort(key=lambda problem: problem[0])
        told = [Missing.of(f"{self._name} images[{position}]", error.code, str(error)) for position, error in problems]
        return told, names
