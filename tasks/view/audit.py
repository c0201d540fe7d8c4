"""The page of audits: draws a sample, says who is still to judge, and the share that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
from nicegui import ui

from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.ehm_fields import PART_NAMES
from tasks.review.audit import Audit, AuditResult
from tasks.view.draw import audit_of, audit_result
from tasks.view.index import LabelIndex
from tasks.view.kinds import LABELS
from tasks.view.query import Query
from tasks.view.state import View

_AMONG = {"valid": "valid labels: is one wrong?", "refused": "refused labels: was it wrong to refuse one?"}
_NEW = Audit(part="face")
_SHOWN = 2000
"""People of a sample that are listed."""


async def audit_page(view: View, index: LabelIndex, query: Query) -> None:
    """Asks what is audited; of an audit, shows its result and its people."""
    if index.kind is not LABELS:
        ui.label(f"An audit is of labels; {index.root} holds {index.kind.name}.")
        return
    _form(index, audit_of(query) if query.audit else _NEW)
    if not query.audit:
        return
    await ui.context.client.connected()  # The draw of many takes seconds.
    spinner = ui.spinner()
    try:
        rows = await asyncio.to_thread(view.order, index, query)
        result = await asyncio.to_thread(_result, view, index, query, rows)
    finally:
        spinner.delete()
    _show(result, query, view.opened.read_only)


def _result(view: View, index: LabelIndex, query: Query, rows: np.ndarray) -> AuditResult:
    folder = view.opened.reviews
    return audit_result(index, query, rows, read_verdicts(folder, audit=query.audit) if folder.is_dir() else None)


def _form(index: LabelIndex, audit: Audit) -> None:
    with ui.row().classes("items-end gap-x-4"):
        part = ui.select({name: name.replace("_", " ") for name in PART_NAMES}, label="part", value=audit.part)
        among = ui.select(_AMONG, label="among", value=audit.among)
        size = ui.number("people", value=audit.size, min=1, max=100_000, step=1, precision=0)
        seed = ui.number("seed", value=audit.seed, step=1, precision=0)
        names = [*index.words("dataset"), *audit.datasets]
        datasets = ui.select(list(dict.fromkeys(names)), label="data sets: all", multiple=True, clearable=True)
        datasets.set_value(list(audit.datasets))
        for field, width in ((part, 28), (among, 80), (size, 20), (seed, 20), (datasets, 48)):
            field.props("dense options-dense").classes(f"w-{width}")

        def draw() -> None:
            if size.value is None or seed.value is None:
                ui.notify("An audit needs a number of people and a seed.", type="negative")
                return
            asked = Audit(
                part=part.value,
                among=among.value,
                size=int(size.value),
                seed=int(seed.value),
                datasets=tuple(datasets.value),
            )
            ui.navigate.to(Query(audit=asked.tag).url("/audit"))

        ui.button("Draw", on_click=draw).props("dense no-caps unelevated").classes("px-4")


def _show(result: AuditResult, query: Query, read_only: bool) -> None:
    low, high = result.interval
    with ui.row().classes("items-center gap-x-8"):
        share = f"{len(result.wrong) / result.judged:.1%}" if result.judged else "-"
        with ui.column().classes("gap-0"):
            ui.label(share).classes("text-h4").mark("share")
            ui.label(f"wrong; {low:.1%} to {high:.1%} at 95 %, exact").mark("interval")
        with ui.column().classes("gap-0"):
            for line in result.lines():
                if not line.startswith("wrong:"):
                    ui.label(line)
            ui.label(f"wrong: {len(result.wrong)} of {result.judged}; {len(result.open)} to judge")
            ui.label(f"the same in a terminal: {_command(result.audit)}").classes("text-caption text-grey")
        if result.open and not read_only:
            ui.link(f"Judge: {len(result.open)} to go", query.url("/person", id=result.open[0])).classes("text-h6")
    columns = [{"name": name, "label": name, "field": name, "align": "left"} for name in ("place", "id", "found")]
    table = ui.table(columns=columns, rows=list(_people(result, query)), row_key="place", pagination=50)
    table.props("dense flat bordered")
    table.add_slot(
        "body-cell-id",
        '<q-td :props="props"><a :href="props.row.url" class="nicegui-link">{{ props.value }}</a></q-td>',
    )


def _people(result: AuditResult, query: Query) -> Iterator[dict[str, str | int]]:
    wrong, waiting = set(result.wrong), set(result.open)
    for place, sample in enumerate(result.sample[:_SHOWN], 1):
        found = "wrong" if sample in wrong else "to judge" if sample in waiting else "judged"
        yield {"place": place, "id": sample, "found": found, "url": query.url("/person", id=sample)}


def _command(audit: Audit) -> str:
    words = ["pear audit", audit.part, *audit.datasets, f"--size {audit.size}", f"--seed {audit.seed}"]
    return " ".join([*words, f"--among {audit.among}"] if audit.among != _NEW.among else words)
