"""The page of a person: photo, keypoints, mesh and parts, what is said of them; verdicts by keys; the next person."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np
from nicegui import events, ui

from tasks.view import pictures
from tasks.view.correct import CorrectionPanel
from tasks.view.index import Label, LabelIndex
from tasks.view.judge import JudgePanel
from tasks.view.leaving import LINK, Act, Leaving
from tasks.view.picture_names import CROPS, LAYERS, MESH
from tasks.view.query import Query, media_url
from tasks.view.state import View
from tasks.view.words import commands, figure_lines, state_lines

MOVES = (("j", "next person"), ("k", "previous person"), ("t", "table"))
LOOKS = (("v", "other layer: mesh, keypoints, photo, whole photo"), ("?", "this list"))
_LARGE = "width:clamp(400px,38vw,560px);aspect-ratio:1;object-fit:contain;background:#eceef1"
"""Three columns on a wide screen; on a narrow one what does not fit is below."""
_CROP = "width:400px;height:200px"
_MESH_PX = (400, 300)
_PREFETCHED = 2
_PREFETCH_S, _READY_S = 0.2, 0.5


async def person_page(view: View, index: LabelIndex, query: Query) -> None:
    """Shows a person of those that the query shows, in their order; without an id the first of them."""
    view.begin_background()  # The pictures are waited for.
    if query.verdicts:
        await ui.context.client.connected()  # Labels may have to be compared with what was judged.
    order = await asyncio.to_thread(view.order, index, query)
    number = index.number(query.id) if query.id else int(order[0]) if len(order) else None
    if number is None:
        ui.label(f"There is nobody {query.id!r} here." if query.id else "There is nobody to be shown.")
        return
    page = PersonPage(view, index, query, order)
    page.name(index.rows([number])[0]["sample_id"])  # The answer need not wait for what is read of the label.
    await page.show(number)


class PersonPage:
    """What one browser looks at."""

    def __init__(self, view: View, index: LabelIndex, query: Query, order: np.ndarray) -> None:
        self._view, self._index, self._query, self._order = view, index, query, order
        self._number, self._layer = -1, LAYERS[0]
        self._is_read = False
        """Whether there is a label of whom is looked at; without one there are no pictures either."""
        self._ways: dict[str, Act] = {
            **dict.fromkeys(("j", "ArrowRight"), partial(self._move, 1)),
            **dict.fromkeys(("k", "ArrowLeft"), partial(self._move, -1)),
            "t": partial(self._open, query.url("/")),
        }
        """What shows something else, by its key."""
        self._in_turn = asyncio.Lock()
        """Keys are obeyed one after the other, however fast they come."""
        with ui.row().classes("items-center gap-2"):
            self._place = ui.label().classes("text-grey")
            self._title = ui.label().classes("text-subtitle1").style("font-family:monospace").mark("sample")
            for text, key in (("previous (k)", "k"), ("next (j)", "j"), ("keys (?)", "?")):
                ui.button(text, on_click=partial(self.obey, key)).props("dense flat no-caps")
            self._said = ui.label().classes("text-caption text-primary").mark("correction")
        self._problem = ui.label().classes("text-negative").mark("problem")
        self._problem.bind_visibility_from(self._problem, "text", bool)
        with ui.row().classes("gap-3 items-start") as self._pictures:
            with ui.column().classes("gap-1"):
                self._large = ui.element("img").style(_LARGE)
                with ui.row().classes("gap-1"):
                    self._layers = {
                        name: ui.button(name, on_click=partial(self._set_layer, name)).props("dense flat no-caps")
                        for name in LAYERS
                    }
                    self._begin = ui.button("correct keypoints (c)", on_click=partial(self.obey, "c"))
                    self._begin.props("dense flat no-caps")
            with ui.column().classes("gap-1"):
                self._crops = {part: _Crop(part) for part in CROPS}
            with ui.column().classes("gap-1").style(f"width:{_MESH_PX[0]}px"):
                self._scene = ui.scene(*_MESH_PX, grid=False, background_color="#eceef1")
                step = partial(self._move, 1)
                self._judge = JudgePanel(view, query.audit, self.obey, next_person=step, go_to=self._go_to)
        self._correct = CorrectionPanel(view, index, self.obey, self._reload, hide=self._pictures, message=self._said)
        self._lines = ui.label().classes("text-caption").style("white-space:pre-line")
        self._commands = ui.label().classes("text-caption").style("white-space:pre-line;font-family:monospace")
        with ui.expansion("All figures").props("dense").classes("text-caption"):
            self._figures = ui.label().style("white-space:pre-line;column-count:3")
        self._prefetch = ui.element("div")
        self._help = self._make_help()
        self._leaving = Leaving(self.obey, keep=self._keep, discard=self._correct.close)
        ui.on(LINK, self._on_link)
        ui.keyboard(on_key=self._on_key, repeating=False, ignore=["input", "textarea", "select"])
        self._waiting = ui.timer(_READY_S, self._when_ready, active=False)

    def name(self, sample_id: str) -> None:
        """Says who it is."""
        self._title.text = sample_id

    async def show(self, number: int) -> None:
        """Shows a row."""
        self._number = number
        try:
            label = await asyncio.to_thread(pictures.label, self._index, number)
        except (ValueError, OSError) as error:
            self._show_none(str(error))
            return
        row, self._is_read = label.row, True
        self._show_place(row["sample_id"])
        self._lines.text = "\n".join(state_lines(row))
        self._commands.text = "\n".join(commands(self._view.opened, label))
        self._figures.text = "\n".join(figure_lines(row))
        await self._judge.show(label)
        await self._correct.show(label)
        self._begin.visible = self._correct.can_correct
        self._problem.text = "" if pictures.is_ready(self._view) else "Pictures are being made ready ..."
        if pictures.is_ready(self._view):
            await self._show_pictures(label)
        else:
            self._waiting.activate()

    def _show_place(self, sample_id: str) -> None:
        """Says who is looked at, on the page and in its address."""
        place = np.flatnonzero(self._order == self._number)
        self._place.text = f"{place[0] + 1 if len(place) else '-'} of {len(self._order):,}"
        self.name(sample_id)
        ui.navigate.history.replace(self._query.url("/person", id=sample_id))

    def _show_none(self, problem: str) -> None:
        """Shows somebody without a label to be read: who it is and what is wrong, and nothing of whoever was before."""
        self._is_read = False
        self._waiting.deactivate()
        self._show_place(self._index.rows([self._number])[0]["sample_id"])
        self._judge.clear()
        self._correct.clear()
        self._begin.visible = False
        for text in (self._lines, self._commands, self._figures):
            text.text = ""
        self._problem.text = problem
        self._set_layer(self._layer)
        for crop in self._crops.values():
            crop.show("", "no label")
        self._scene.clear()
        self._prefetch.clear()

    async def _show_pictures(self, label: Label) -> None:
        """Points the pictures to those of the label; whoever has no photo keeps the rest of the page."""
        number, row = self._number, label.row
        problem, seen = await asyncio.to_thread(pictures.look, self._view, row)
        if number != self._number:
            return
        fault = pictures.fault(self._view)
        self._problem.text = "\n".join(filter(None, (problem, fault)))
        has_mesh = "body" in seen and not fault
        self._show_layer(self._layer if has_mesh or self._layer != "overlay" else "keypoints")
        for part, crop in self._crops.items():
            is_shown = part in seen and not problem and not fault
            crop.show(self._media(f"{part}.jpg") if is_shown else "", "no body" if fault else "not seen")
        self._scene.clear()
        if has_mesh:
            with self._scene:
                self._scene.gltf(self._media(MESH)).rotate(np.pi / 2, 0, 0)
            self._scene.move_camera(x=0, y=-1.9, z=0.1, look_at_x=0, look_at_y=0, look_at_z=0, duration=0)
        ui.timer(_PREFETCH_S, self._fetch_next, once=True)

    def _fetch_next(self) -> None:
        """Has the browser fetch what the next people show, so that it is there when they are."""
        place = np.flatnonzero(self._order == self._number)
        coming = self._order[place[0] + 1 : place[0] + 1 + _PREFETCHED].tolist() if len(place) else []
        self._prefetch.clear()
        whats = [f"{self._layer}.jpg", *(f"{part}.jpg" for part in CROPS), MESH]
        with self._prefetch:
            for number in coming:
                for what in whats:
                    address = media_url(self._index.stamp, number, what)
                    link = ui.element("link")
                    link.props["rel"], link.props["href"] = "prefetch", address

    async def _when_ready(self) -> None:
        if pictures.is_ready(self._view):
            self._waiting.deactivate()
            async with self._in_turn:
                await self.show(self._number)

    def _media(self, what: str) -> str:
        return media_url(self._index.stamp, self._number, what)

    def _set_layer(self, name: str) -> None:
        self._layer = name
        self._show_layer(name)

    def _show_layer(self, name: str) -> None:
        self._large.visible = self._is_read
        self._large.props["src"] = self._media(f"{name}.jpg") if self._is_read else ""
        self._large.props["alt"] = name
        self._large.update()
        for own, button in self._layers.items():
            button.props(f"color={'primary' if own == name else 'grey'}")

    async def _move(self, step: int) -> None:
        """To another person of the order; from one who is not in it to its first."""
        if not len(self._order):
            return
        place = np.flatnonzero(self._order == self._number)
        at = place[0] + step if len(place) else 0
        if not 0 <= at < len(self._order):
            ui.notify("This is the last person." if step > 0 else "This is the first person.", position="top")
            return
        await self.show(int(self._order[at]))

    async def _go_to(self, sample_id: str) -> None:
        number = self._index.number(sample_id)
        if number is not None and number != self._number:
            await self.show(number)

    async def _reload(self) -> None:
        await self.show(self._number)

    async def _on_key(self, event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if event.action.keydown and not (modifiers.ctrl or modifiers.meta or modifiers.alt):
            await self.obey(event.key.name)

    async def _on_link(self, event: events.GenericEventArguments) -> None:
        async with self._in_turn:
            await self._leave(partial(self._open, event.args))

    async def _open(self, address: str) -> None:
        ui.navigate.to(address)

    async def _leave(self, go: Act) -> None:
        """To somebody or something else, once it is known what becomes of what was tried."""
        if num := self._correct.num_unsaved:
            self._leaving.ask(num, go)
            return
        self._correct.close()  # At once: what is tried until the next one is shown would be lost.
        await go()

    async def _keep(self) -> bool:
        is_kept = await self._correct.keep()
        if is_kept:
            ui.notify(self._said.text, position="top")  # Where it stands, something else is shown soon.
        return is_kept

    async def obey(self, key: str) -> None:
        """Does what a key, or the button with its name, stands for."""
        async with self._in_turn:
            if self._leaving.is_asking:
                await self._leaving.on_key(key)
            elif key == "?":
                self._help.open()
            elif key == "Escape" and self._help.value:
                self._help.close()  # And nothing else: what was tried on the page stays.
            elif key == "Escape":
                self._correct.close()
            elif await self._correct.on_key(key):
                return
            elif key in self._ways:
                await self._leave(self._ways[key])
            elif key == "v":
                places = LAYERS
                self._set_layer(places[(places.index(self._layer) + 1) % len(places)])
            else:
                await self._judge.on_key(key)

    def _make_help(self) -> ui.dialog:
        # Escape comes here as any key does; the dialog by itself would be closed before it.
        with ui.dialog().props("no-esc-dismiss") as dialog, ui.card():
            for keys in (MOVES, LOOKS, self._judge.keys, self._correct.keys):
                with ui.grid(columns="auto 1fr").classes("gap-x-4 gap-y-1"):
                    for key, meaning in keys:
                        ui.label(key).style("font-family:monospace;font-weight:bold")
                        ui.label(meaning)
                ui.separator()
            ui.label("Keys do nothing while you type in a field.").classes("text-grey")
        return dialog


class _Crop:
    """The picture of a part, or that it was not seen."""

    def __init__(self, part: str) -> None:
        with ui.element("div").style(f"{_CROP};position:relative;background:#eceef1").mark(f"crop-{part}"):
            self._image = ui.element("img").style("width:100%;height:100%")
            self._text = ui.label().style("position:absolute;left:6px;top:4px;font-size:12px;background:#ffffffb0")
        self._part = part.replace("_", " ")

    def show(self, address: str, why_none: str) -> None:
        """A picture, or why there is none."""
        self._image.visible = bool(address)
        self._image.props["src"] = address
        self._image.update()
        self._text.text = self._part if address else f"{self._part}: {why_none}"
