"""Pictures and the mesh of one person, by what they are called in addresses. Torch is imported for the first."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tasks.view.index import Label, LabelIndex
from tasks.view.picture_names import MESH
from tasks.view.state import View

if TYPE_CHECKING:
    from tasks.view.drawings import Drawings

_LOCK = threading.Lock()
_DRAWINGS: WeakKeyDictionary[View, Drawings] = WeakKeyDictionary()


def media(view: View, index: LabelIndex, number: int, what: str) -> tuple[bytes, str] | None:
    """A picture of a row: its bytes and their media type; None where there is none.

    Raises:
        ValueError: The photo cannot be read, the shard has changed, or the body is another one; a sentence.
    """
    data = drawings(view).of_row((index.stamp, number, what), lambda: label(index, number))
    return None if data is None else (data, "model/gltf-binary" if what == MESH else "image/jpeg")


@lru_cache(maxsize=64)
def label(index: LabelIndex, number: int) -> Label:
    """A whole row; raises as ``LabelIndex.label``."""
    return index.label(number)


def look(view: View, row: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """Why the photo of a row cannot be shown, empty if it can; and which parts have something to be seen."""
    return drawings(view).look(row)


def warm(view: View) -> None:
    """Reads what the first picture needs, which takes seconds."""
    drawings(view).warm()


def is_ready(view: View) -> bool:
    """Whether pictures come at once."""
    known = _DRAWINGS.get(view)
    return known is not None and known.is_warm


def fault(view: View) -> str:
    """Why there is no body, so that what needs one is not shown; empty if there is one."""
    return drawings(view).fault


def drawings(view: View) -> Drawings:
    """Those of what is looked at; one a process, since they share the body and their caches."""
    with _LOCK:
        if view not in _DRAWINGS:
            from tasks.view.drawings import Drawings

            _DRAWINGS[view] = Drawings(view.opened)
        return _DRAWINGS[view]
