"""The application: routes of pages and pictures, and the frame that every page has."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request, Response
from nicegui import core, ui

from tasks.view import pictures
from tasks.view.audit import audit_page
from tasks.view.index import LabelIndex
from tasks.view.index_file import RELOAD
from tasks.view.person import person_page
from tasks.view.picture_names import WHATS
from tasks.view.query import Query
from tasks.view.security import Guard
from tasks.view.state import View
from tasks.view.table import table_page

Build = Callable[[View, LabelIndex, Query], Awaitable[None] | None]
"""Puts the elements of a page on it."""
PAGES: dict[str, Build] = {"/": table_page, "/person": person_page, "/audit": audit_page}
_PROGRESS_SECONDS, _CHANGED_SECONDS, _PAGE_SECONDS = 0.3, 5.0, 30.0


_BACK = """<script>
addEventListener("popstate", () => location.reload());
addEventListener("pageshow", event => event.persisted && location.reload());
</script>"""
"""Pages change their address without being loaded again, so that Back has to load them."""


_RECONNECT_SECONDS = 30.0
"""A browser that a busy machine keeps waiting is not taken for gone; what was just clicked would be lost."""


def view_app(view: View, *, origins: frozenset[str], token: str | None = None) -> FastAPI:
    """The application, once a process; the index is read in the background as soon as it starts.

    Args:
        view: What is looked at.
        origins: Addresses under which the pages may be opened (``security.allowed_origins``).
        token: What a browser has to show; None: nothing.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/media/{stamp}/{number}/{what}")(_media_route(view))
    for path, build in PAGES.items():
        _add_page(view, path, build)
    # NiceGUI lets every origin in, and has no setting for it; Guard refuses them before, this one in depth.
    core.sio.eio.cors_allowed_origins = sorted(origins)
    # Not before: NiceGUI looks at every object there is for its server, which breaks a tuple that is just being filled.
    core.app.on_startup(lambda: threading.Thread(target=view.refresh, daemon=True).start())
    view.start_background(lambda: pictures.warm(view))
    ui.run_with(app, title="pear view", show_welcome_message=False, reconnect_timeout=_RECONNECT_SECONDS)
    app.add_middleware(Guard, origins=origins, token=token)  # type: ignore[arg-type]
    return app


def _media_route(view: View) -> Callable[..., Response]:
    def media(stamp: str, number: str, what: str) -> Response:
        index = view.index
        is_number = number.isascii() and number.isdecimal() and len(number) < 10
        if index is None or stamp != index.stamp or not is_number or int(number) >= len(index):
            raise HTTPException(404)
        if what not in WHATS:
            raise HTTPException(404)
        try:
            found = pictures.media(view, index, int(number), what)
        except ValueError as error:
            raise HTTPException(404, str(error)) from error
        if found is None:
            raise HTTPException(404)
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "private, max-age=600"})

    return media


def _add_page(view: View, path: str, build: Build) -> None:
    @ui.page(path, response_timeout=_PAGE_SECONDS)
    async def page(request: Request) -> None:
        changed, fault = _header(view)
        index = view.index
        if index is None:
            _show_progress(view)
            return
        ui.context.client.on_connect(view.begin_background)
        fault.text = view.fault
        try:
            query = Query.parse(parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=200), index.kind)
            done = build(view, index, query)
            if inspect.isawaitable(done):
                await done
        except ValueError as error:
            ui.label(str(error)).classes("text-negative")

        async def look() -> None:
            changed.visible = await asyncio.to_thread(view.has_changed, index)
            fault.text = view.fault

        # At the end: a timer has NiceGUI send what there is of the page.
        ui.timer(_CHANGED_SECONDS, look)


def _header(view: View) -> tuple[ui.button, ui.label]:
    """Links to the pages; a button that is seen once the labels have changed, and why they could not be read again."""
    ui.add_head_html(_BACK)
    with ui.row().classes("w-full items-center"):
        ui.link("Table", "/").classes("text-h6")
        ui.link("Audit", "/audit")
        ui.label(os.path.relpath(view.opened.labels)).classes("text-grey").tooltip(str(view.opened.labels))
        changed = ui.button(RELOAD, on_click=lambda: _reload(view)).props("flat dense color=orange")
    changed.visible = False
    fault = ui.label().classes("text-negative").mark("fault")
    fault.bind_visibility_from(fault, "text", bool)
    return changed, fault


async def _reload(view: View) -> None:
    await asyncio.to_thread(view.refresh)
    ui.navigate.reload()


def _show_progress(view: View) -> None:
    said = ui.label("Reading labels ...")
    # Else the browser draws the bar's way from value to value, which takes a core where there is no graphics card.
    bar = ui.linear_progress(0.0, show_value=False).props("instant-feedback").classes("w-96")

    def look() -> None:
        done, total = view.progress
        if view.fault:
            said.text = view.fault
            bar.visible = False
        elif view.index is not None:
            ui.navigate.reload()
        elif total:
            said.text, bar.value = f"Reading labels: {done:,} of {total:,} shards", done / total

    ui.timer(_PROGRESS_SECONDS, look)
