"""A JSON file whose top level is a list, read element by element: one of them is held, however long the list is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PIECE = 1 << 20
_BEHIND = ",] \t\r\n"
"""What may follow an element."""
_MAX_ELEMENT = 64 << 20
"""Letters of one element, above which the file is hardly such a list."""


def json_list(path: Path) -> Iterator[Any]:
    """The elements of the list.

    Raises:
        ValueError: The file is not there, no JSON, no list at the top, or cut short.
    """
    try:
        file = path.open(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"The annotation file {path} does not exist; put it there or correct the manifest.") from error
    with file:
        try:
            yield from _elements(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The annotation file {path} is not a JSON list: {error}") from error


def _elements(file: Any) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text, mark = _next("", file)
    if mark != "[":
        raise ValueError(f"it begins with {text[:20]!r}")
    text, is_first = text[1:], True
    while True:
        text, mark = _next(text, file)
        if mark == "]":
            return
        if not is_first:
            if mark != ",":
                raise ValueError(f"expected a comma between elements, got {text[:20]!r}")
            text, mark = _next(text[1:], file)
        element, text = _decoded(decoder, text, file)
        yield element
        is_first = False


def _next(text: str, file: Any) -> tuple[str, str]:
    """The text from the next letter that is no blank, and the letter."""
    while not (text := text.lstrip()):
        if not (text := file.read(_PIECE)):
            raise ValueError("it ends before the list does; it is cut short")
    return text, text[0]


def _decoded(decoder: json.JSONDecoder, text: str, file: Any) -> tuple[Any, str]:
    while True:
        try:
            element, end = decoder.raw_decode(text)
            # A number at the end of a piece may go on in the next.
            if (end < len(text) and text[end] in _BEHIND) or not (more := file.read(_PIECE)):
                return element, text[end:]
        except json.JSONDecodeError:
            if len(text) > _MAX_ELEMENT or not (more := file.read(_PIECE)):
                raise
        text += more
