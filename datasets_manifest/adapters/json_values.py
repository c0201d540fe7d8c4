"""A JSON file read value by value: one row of its lists is held, however long they are, and each tells where it lies.

A file is looked at a byte a letter, so that the place of a value is its place in the file; whatever holds more than
ASCII is decoded again as the UTF-8 that it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

_PIECE = 1 << 20
_BLANKS = re.compile(r"[ \t\r\n]*")
_CUT = 3
"""Letters that a number which goes on in the next piece may leave over, such as the e- of 1.5e-3."""
_MAX_VALUE = 256 << 20
"""Bytes of one value, above which the file is hardly such a list."""
_MARK = b"\xef\xbb\xbf"


class Placed(NamedTuple):
    """A value, and the bytes of the file that it is."""

    value: Any
    start: int
    length: int


class JsonValues:
    """Reads a file from its beginning to its end; then any of its values again."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: It cannot be opened.
        """
        self._path = path
        self._file = path.open("rb")
        self._text, self._at, self._offset = "", 0, 0
        self._decoder = json.JSONDecoder()
        mark = self._file.read(len(_MARK))
        if mark == _MARK:
            self._offset = len(_MARK)
        else:
            self._text = mark.decode("latin-1")

    def __enter__(self) -> JsonValues:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def next_mark(self) -> str:
        """The next letter that is no blank, empty at the end of the file."""
        while (at := self._behind_blanks()) == len(self._text):
            if not self._read_on(_PIECE):
                return ""
        self._at = at
        return self._text[at]

    def value(self) -> Placed:
        """The next value, whole.

        Raises:
            ValueError: There is none, or the file is no UTF-8.
        """
        self.next_mark()
        more = _PIECE
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
                if len(self._text) - end > _CUT or not self._read_on(more):
                    break
            except json.JSONDecodeError:
                if len(self._text) - self._at > _MAX_VALUE or not self._read_on(more):
                    raise
            more *= 2  # So that a long value is not begun too often.
        placed = Placed(found, self._offset + self._at, end - self._at)
        if not self._text.isascii() and not (own := self._text[self._at : end]).isascii():
            placed = placed._replace(value=json.loads(own.encode("latin-1").decode()))
        self._at = end
        return placed

    def rows(self) -> Iterator[Placed]:
        """The elements of the list that comes next.

        Raises:
            ValueError: There is no list, or it is cut short.
        """
        return (self.value() for _ in self._between("[", "]"))

    def members(self) -> Iterator[Placed]:
        """The names of the object that comes next; whoever asks for the next has read or skipped the value of this.

        Raises:
            ValueError: There is no object, or it is cut short.
        """
        for _ in self._between("{", "}"):
            name = self.value()
            if not isinstance(name.value, str):
                raise ValueError(f"expected a name, got {str(name.value)[:20]!r}")
            self._take(":")
            yield name

    def skip(self) -> None:
        """Passes the next value over, a list or an object piece by piece."""
        mark = self.next_mark()
        if mark == "[":
            for _ in self.rows():
                pass
        elif mark == "{":
            for _ in self.members():
                self.value()
        else:
            self.value()

    def end(self) -> None:
        """Refuses whatever follows but blanks.

        Raises:
            ValueError: Something does.
        """
        if self.next_mark():
            raise ValueError(f"expected the end of the file, got {self._text[self._at : self._at + 20]!r}")

    def again(self, *places: tuple[int, int]) -> list[Any]:
        """The values at some places (start, length).

        Raises:
            ValueError: The file is another than it was.
        """
        pieces = [os.pread(self._file.fileno(), length, start) for start, length in places]
        try:
            return json.loads(b"[" + b",".join(pieces) + b"]")
        except ValueError as error:
            raise ValueError(f"The file {self._path} changed while it was read ({error}); list it again.") from error

    def _between(self, first: str, last: str) -> Iterator[None]:
        self._take(first)
        if self.next_mark() != last:
            yield
            while self.next_mark() != last:
                self._take(",")
                yield
        self._take(last)

    def _take(self, mark: str) -> None:
        found = self.next_mark()
        if found != mark:
            where = repr(self._text[self._at : self._at + 20]) if found else "the end of the file; it is cut short"
            raise ValueError(f"expected {mark}, got {where}")
        self._at += 1

    def _behind_blanks(self) -> int:
        match = _BLANKS.match(self._text, self._at)
        return self._at if match is None else match.end()

    def _read_on(self, count: int) -> bool:
        """Whether there is more; then it is read, and what was read before is let go of."""
        if not (piece := self._file.read(count)):
            return False
        self._text, self._offset = self._text[self._at :] + piece.decode("latin-1"), self._offset + self._at
        self._at = 0
        return True


def json_list(path: Path) -> Iterator[Any]:
    """The elements of a file that is a list.

    Raises:
        ValueError: The file is not there, no JSON, no list at the top, or cut short.
    """
    try:
        file = JsonValues(path)
    except OSError as error:
        raise ValueError(f"The annotation file {path} does not exist; put it there or correct the manifest.") from error
    with file:
        try:
            for row in file.rows():
                yield row.value
            file.end()
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The annotation file {path} is not a JSON list: {error}") from error
