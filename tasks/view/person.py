"""The page of a person."""

from __future__ import annotations

from nicegui import ui

from tasks.view.index import LabelIndex
from tasks.view.query import Query
from tasks.view.state import View


def person_page(view: View, index: LabelIndex, query: Query) -> None:
    """Shows what the label of a person says."""
    number = index.number(query.id)
    if number is None:
        ui.label(f"There is no {query.id!r} here.")
        return
    for name, value in index.rows([number])[0].items():
        ui.label(f"{name}: {value}")
