"""The page of the table."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui

from tasks.view.index import LabelIndex
from tasks.view.query import Query
from tasks.view.state import View


async def table_page(view: View, index: LabelIndex, query: Query) -> None:
    """Shows the people that a query chooses, a page at a time."""
    rows = await asyncio.to_thread(view.order, query)
    ui.label(f"{len(rows):,} of {len(index):,}")
    begin = (query.page - 1) * query.rows
    shown: list[dict[str, Any]] = [
        {**row, "url": query.url("/person", id=row["sample_id"])}
        for row in index.rows(rows[begin : begin + query.rows])
    ]
    columns = [{"name": name, "label": name.replace("_", " "), "field": name} for name in index.kind.columns]
    table = ui.table(columns=columns, rows=shown, row_key="n")
    table.on("rowClick", lambda event: ui.navigate.to(event.args[1]["url"]))
