"""Pictures and the mesh of one person, by what they are called in addresses."""

from __future__ import annotations

from tasks.view.index import LabelIndex
from tasks.view.state import View

WHATS: frozenset[str] = frozenset()


def media(view: View, index: LabelIndex, number: int, what: str) -> tuple[bytes, str] | None:
    """A picture of a row: its bytes and their media type; None where there is none."""
    return None


def warm(view: View) -> None:
    """Reads what the first picture needs."""
