"""The page of audits."""

from __future__ import annotations

from nicegui import ui

from tasks.view.index import LabelIndex
from tasks.view.query import Query
from tasks.view.state import View


def audit_page(view: View, index: LabelIndex, query: Query) -> None:
    """Shows whom an audit draws, and what was found."""
    ui.label("audit")
