"""The page of the table: filters, order and page, all of which stand in its address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from nicegui import events, ui

from datasets_manifest.schema.labels import ERROR_SENTENCES
from tasks.view.index import LabelIndex
from tasks.view.kinds import LABELS
from tasks.view.query import ROWS_PER_PAGE, VERDICTS, Query
from tasks.view.state import View

_LINK = """<td class="text-left"><a :href="props.row.url" class="nicegui-link">{{ props.value }}</a></td>"""
_REASON = """<td class="text-left" :title="props.row.why">{{ props.value }}</td>"""
"""Of these two columns alone: the browser makes a component of each cell that has a form of its own, at every page."""
_STYLE = ".q-table thead tr { position: sticky; top: 0; z-index: 1; background: white }"
_FLAGS = {None: "any", True: "yes", False: "no"}
_PATIENCE_SECONDS = 0.7
_FAULTS = 20
"""Files that cannot be read that are named."""


async def table_page(view: View, index: LabelIndex, query: Query) -> None:
    """Shows the people that a query chooses, a page at a time."""
    ui.add_css(_STYLE)
    ui.query(".nicegui-content").classes("h-screen no-wrap")
    table = _Table(view, index, query)
    if query.verdicts:
        await ui.context.client.connected()  # At the first time every label that was judged is read.
    await table.show()


class _Table:
    """The page of one client."""

    def __init__(self, view: View, index: LabelIndex, query: Query) -> None:
        self._view, self._index, self._query = view, index, query
        self._filters()
        self._count = ui.label().classes("text-body2 pear-count")
        self._faults()
        columns = [
            {"name": name, "label": title(name), "field": name, "sortable": True, "align": "left", **_red(index, name)}
            for name in index.kind.columns
            if name not in ("dataset", "split")  # The id begins with them.
        ]
        # Rows are told apart by their place on the page: the browser changes their text rather than making them anew.
        self._pagination: dict[str, Any] = {"rowsNumber": 0}
        self._table = ui.table(columns=columns, rows=[], row_key="place", pagination=self._pagination)
        # Once it is drawn, the browser tells the pages that it began with; by then others may have been found.
        self._table.on_pagination_change(lambda: self._table.props.update(pagination=self._pagination))
        self._table.props("dense flat bordered").classes("w-full flex-grow min-h-64")
        self._table.props["rows-per-page-options"] = list(ROWS_PER_PAGE)
        self._table.add_slot("body-cell-sample_id", _LINK)
        self._table.add_slot("body-cell-error_code", _REASON)
        self._table.on("request", self._requested)

    def _filters(self) -> None:
        index, query = self._index, self._query
        words, flags = dict(query.words), dict(query.flags)
        ranges = {name: ends for name, *ends in query.ranges}
        with ui.row().classes("items-end gap-x-4 gap-y-0"):
            text = ui.input("id contains", value=query.text).props("dense clearable debounce=300").classes("w-48")
            text.on_value_change(lambda event: self._change(text=event.value or ""))
            for name in index.kind.words:
                self._words("words", name, set(words.get(name, ())), index.counts(name))
            for name in index.kind.flags:
                choice = ui.select(_FLAGS, label=title(name), value=flags.get(name)).props("dense options-dense")
                choice.classes("w-28").on_value_change(self._setter("flags", name, lambda value: value))

        async def figures() -> None:
            for name in index.kind.numbers:
                self._range(name, *ranges.get(name, (float("-inf"), float("inf"))))

        if index.kind is LABELS:
            self._fold("Verdicts", self._verdicts, is_open=bool(query.verdicts))
        self._fold("Figures", figures, is_open=bool(ranges))

    def _fold(self, name: str, fill: Callable[[], Awaitable[None]], *, is_open: bool) -> None:
        """Filters that are made when they are unfolded: the browser goes through those that there are at every page."""
        with ui.expansion(name).props("dense").classes("w-full") as fold:
            fields = ui.row().classes("gap-x-6 gap-y-0")
        has_begun = False

        async def unfolded() -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                with fields:
                    await fill()

        fold.on_value_change(unfolded)
        if is_open:
            ui.timer(0, lambda: fold.set_value(True), once=True)

    async def _verdicts(self) -> None:
        chosen = dict(self._query.verdicts)
        waiting = ui.spinner()
        try:
            judged = await asyncio.to_thread(self._view.judged.of, self._index)
        except ValueError as error:
            ui.label(str(error)).classes("text-negative")
            return
        finally:
            waiting.delete()
        for name in VERDICTS:
            self._words("verdicts", name, set(chosen.get(name, ())), judged.counts(name))

    def _words(self, kind: str, name: str, chosen: set[str], counts: Mapping[str, int]) -> None:
        """Boxes to tick; those of a link that have gone since too."""

        def setter(word: str) -> Callable[[events.ValueChangeEventArguments], Awaitable[None]]:
            async def changed(event: events.ValueChangeEventArguments) -> None:
                (chosen.add if event.value else chosen.discard)(word)
                button.text = _said(name, chosen)
                await self._set(kind, name, tuple(sorted(chosen)) or None)

            return changed

        # A select with many choices stays blank when it is opened for the first time while the page is still busy.
        with (
            ui.dropdown_button(_said(name, chosen)).props("dense no-caps flat color=grey-9").classes("px-2") as button,
            ui.column().classes("p-3 gap-1 max-h-96 flex-nowrap overflow-auto"),
        ):
            for word in sorted({*counts, *chosen}):
                box = ui.checkbox(f"{word or 'none'} ({counts.get(word, 0):,})", value=word in chosen).props("dense")
                box.on_value_change(setter(word))

    def _range(self, name: str, low: float, high: float) -> None:
        ends = [low, high]

        def setter(k: int, default: float) -> Callable[[events.ValueChangeEventArguments], Awaitable[None]]:
            async def changed(event: events.ValueChangeEventArguments) -> None:
                ends[k] = default if event.value is None else float(event.value)
                await self._set("ranges", name, None if ends == [float("-inf"), float("inf")] else tuple(ends))

            return changed

        with ui.row().classes("no-wrap items-end gap-2"):
            for k, (word, value) in enumerate((("from", low), ("to", high))):
                shown = None if abs(value) == float("inf") else value
                field = ui.number(f"{title(name)} {word}", value=shown).props("dense clearable debounce=300")
                field.classes("w-48").on_value_change(setter(k, (float("-inf"), float("inf"))[k]))

    def _setter(
        self, kind: str, name: str, of: Callable[[Any], Any]
    ) -> Callable[[events.ValueChangeEventArguments], Awaitable[None]]:
        async def changed(event: events.ValueChangeEventArguments) -> None:
            await self._set(kind, name, of(event.value))

        return changed

    async def _set(self, kind: str, name: str, value: Any) -> None:
        """Replaces one filter of a kind; None takes it away."""
        filters: dict[str, Any] = {
            own: rest[0] if len(rest) == 1 else rest for own, *rest in getattr(self._query, kind)
        }
        filters.pop(name, None)
        if value is not None:
            filters[name] = value
        entries = ((own, *rest) if kind == "ranges" else (own, rest) for own, rest in sorted(filters.items()))
        await self._change(**{kind: tuple(entries)})

    async def _change(self, **changes: Any) -> None:
        """Another query of the same client, on its first page unless the page is what changes."""
        query = replace(self._query, **({"page": 1} | changes))
        if query != self._query:
            self._query = query
            ui.navigate.history.push(query.url("/"))
            await self.show()

    async def _requested(self, event: events.GenericEventArguments) -> None:
        asked = event.args["pagination"]
        sort = {"sort": asked["sortBy"] or "", "descending": bool(asked["sortBy"] and asked["descending"])}
        same = (sort["sort"], sort["descending"]) == (self._query.sort, self._query.descending)
        rows = asked["rowsPerPage"] if asked["rowsPerPage"] in ROWS_PER_PAGE else self._query.rows
        page = int(asked["page"]) if same and rows == self._query.rows else 1
        await self._change(**sort, rows=rows, page=max(1, page))

    async def show(self) -> None:
        """Puts the rows of the query on the page, unless another query has come in the meantime."""
        query = self._query
        try:
            rows = await self._found(query)
        except ValueError as error:
            self._count.text = str(error)
            return
        if query is not self._query:
            return
        pages = max(1, -(-len(rows) // query.rows))
        begin = (min(query.page, pages) - 1) * query.rows
        shown = self._index.rows(rows[begin : begin + query.rows])
        self._pagination = {
            "page": min(query.page, pages), "rowsPerPage": query.rows, "rowsNumber": len(rows),
            "sortBy": query.sort or None, "descending": query.descending,
        }  # fmt: skip
        self._table.props["pagination"] = self._pagination
        self._table.rows = [self._cells(row) | {"place": place} for place, row in enumerate(shown)]
        states = ", ".join(
            f"{count:,} {state}" for state, count in self._index.counts(self._index.kind.state, rows).items()
        )
        self._count.text = f"{len(rows):,} of {len(self._index):,}" + (f": {states}" if states else "")

    async def _found(self, query: Query) -> np.ndarray:
        """The rows of a query; where that takes long, how far it is."""
        searching = asyncio.create_task(asyncio.to_thread(self._view.order, self._index, query))
        while not (await asyncio.wait({searching}, timeout=_PATIENCE_SECONDS))[0]:
            done, total = self._view.judged.progress
            self._count.text = f"Comparing verdicts with labels: {done:,} of {total:,} shards"
        return searching.result()

    def _cells(self, row: dict[str, Any]) -> dict[str, Any]:
        cells = {name: _text(value) for name, value in row.items() if name != "n"}
        url = self._query.url("/person", id=row["sample_id"])
        return cells | {"url": url, "why": ERROR_SENTENCES.get(row["error_code"], "")}

    def _faults(self) -> None:
        faults = self._index.faults
        if not faults:
            return
        with ui.expansion(f"{len(faults)} of {self._index.num_shards} files are not shown").classes("text-warning"):
            for sentence in faults[:_FAULTS]:
                ui.label(sentence).classes("text-caption")
            if len(faults) > _FAULTS:
                ui.label(f"and {len(faults) - _FAULTS} more").classes("text-caption")


def _red(index: LabelIndex, name: str) -> dict[str, str]:
    """What has a cell of a column shown in red."""
    worrying = (
        ["failed", "missed", "false"] if name == index.kind.state else ["yes" if name.endswith("_wrong") else "no"]
    )
    return {":classes": f"row => {worrying}.includes(row.{name}) ? 'text-negative' : ''"}


def title(name: str) -> str:
    """What a column is called on pages."""
    return {"sample_id": "id", "error_code": "reason", "reproj_rel": "residual / box"}.get(
        name, name.removeprefix("reproj_").replace("_px", " residual px").replace("_", " ")
    )


def _said(name: str, chosen: set[str]) -> str:
    return f"{title(name)}: {', '.join(sorted(word or 'none' for word in chosen)) or 'any'}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _FLAGS[value]
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)
