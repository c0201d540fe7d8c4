"""The parts of a person with what was said of them, and the verdicts that are given here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from datasets_manifest.files import WriteError
from datasets_manifest.reviews.schema import Judgement, Review
from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from tasks.review.audit import Audit
from tasks.view.index import Label
from tasks.view.kinds import MISSED
from tasks.view.state import View
from tasks.view.verdicts import Given, book_of, told
from tasks.view.words import part_figures, part_name

_VERDICTS: dict[str, Judgement] = {"a": "accept", "r": "reject", "f": "flag"}
_NEED_LABEL = (*_VERDICTS, "A", "n")
_COLOURS = {"accept": "positive", "reject": "negative", "flag": "warning"}


class JudgePanel:
    """Four rows, a part each; one is selected."""

    def __init__(
        self,
        view: View,
        audit: str,
        press: Callable[[str], Awaitable[None]],
        *,
        next_person: Callable[[], Awaitable[None]],
        go_to: Callable[[str], Awaitable[None]],
    ) -> None:
        """Takes the tag of the audit, what buttons do by their keys, and how to come to other people."""
        self._view, self._audit, self._next_person, self._go_to = view, audit, next_person, go_to
        self._book, self._label = book_of(view), None
        self._done: list[tuple[str, Review]] = []
        """Data sets and verdicts that were given on this page and not undone."""
        self._is_noting = False
        """Whether a note is written: until the field has the focus, its first letters come here."""
        self._part: Part = PART_NAMES[0]
        if audit:
            self._part = Audit.of_tag(audit).part
        can_judge = not view.opened.read_only
        with ui.row().classes("items-center gap-1") as self._buttons:
            for key, verdict in _VERDICTS.items() if can_judge else ():
                button = ui.button(f"{verdict} ({key})", color=_COLOURS[verdict], on_click=partial(press, key))
                button.props("dense no-caps unelevated")
            if can_judge:
                ui.button("undo (u)", on_click=partial(press, "u")).props("dense no-caps flat")
                self._note = ui.input("note for the next verdict (n)").props("dense").classes("w-full")
                for key in ("enter", "escape"):
                    self._note.on(f"keydown.{key}", js_handler="(event) => event.target.blur()")
                self._note.on("blur", self._end_note)
        self._message = ui.label().classes("text-caption").mark("message")
        self._rows = {part: _PartRow(k, part, press) for k, part in enumerate(PART_NAMES, 1)}

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What keys do here."""
        if self._view.opened.read_only:
            return []
        return [
            ("a r f", "accept, reject, flag the selected part; the next one is selected"),
            ("A", "accept every part that is valid, and go to the next person"),
            ("1 2 3 4", "select body, left hand, right hand, face"),
            ("u", "undo the last verdict given on this page"),
            ("n", "write a note, which goes with the next verdict"),
        ]

    async def show(self, label: Label) -> None:
        """Shows a person and what was said so far."""
        self._label, self._message.text = label, self._why_not(label)
        self._buttons.visible = not self._message.text
        if not self._audit:
            self._part = PART_NAMES[0]
        await self._refresh()

    def clear(self) -> None:
        """Shows nobody: there is no label to judge."""
        self._label, self._message.text = None, ""
        self._buttons.visible = False
        for row in self._rows.values():
            row.show("", [])

    async def on_key(self, key: str) -> None:
        """Obeys a key, if it is one of those here."""
        label = self._label
        if self._is_noting:
            return
        if key in "1234" and len(key) == 1:
            self._select(PART_NAMES[int(key) - 1])
        if self._view.opened.read_only:
            return
        if key == "u":  # Of whomever it was.
            await self._undo()
        elif label is None and key in _NEED_LABEL:
            self._message.text = "there is no label to judge here"
        if label is None or self._why_not(label):
            return
        if key in _VERDICTS:
            await self._judge({self._part: _VERDICTS[key]})
        elif key == "A" and not self._audit:
            valid: dict[Part, Judgement] = {part: "accept" for part in PART_NAMES if label.row[f"{part}_valid"]}
            if valid and await self._give(label, valid):
                await self._next_person()
        elif key == "n":
            self._is_noting = True
            self._note.run_method("focus")

    def _end_note(self) -> None:
        self._is_noting = False

    def _why_not(self, label: Label) -> str:
        """Why nothing can be judged of a person."""
        if self._view.opened.read_only:
            return "read-only: nothing can be judged"
        if "body_valid" not in label.row:
            return "verdicts are about labels; these are predictions"
        if label.row["status"] == MISSED:
            return "whoever was missed has no label to judge"
        return "whoever failed has no label to judge" if label.row["status"] == "failed" else ""

    def _select(self, part: Part) -> None:
        if self._audit:
            return
        self._part = part
        for own, row in self._rows.items():
            row.mark(own == part)

    async def _judge(self, verdicts: dict[Part, Judgement]) -> None:
        assert self._label is not None
        if not await self._give(self._label, verdicts):
            return
        if self._audit:
            await self._next_person()
        else:
            self._select(PART_NAMES[min(PART_NAMES.index(self._part) + 1, len(PART_NAMES) - 1)])

    async def _give(self, label: Label, verdicts: dict[Part, Judgement]) -> bool:
        """Puts verdicts on disk, and only then shows them."""
        try:
            given = await asyncio.to_thread(
                self._book.give, label, verdicts, note=self._note.value, audit=self._audit or None
            )
        except (ValueError, WriteError) as error:
            self._message.text = str(error)
            return False
        self._done += [(label.row["dataset"], review) for review in given]
        self._note.value = ""
        await self._refresh()
        return True

    async def _undo(self) -> None:
        if not self._done:
            self._message.text = "nothing to undo on this page"
            return
        dataset, last = self._done[-1]
        try:
            is_back = await asyncio.to_thread(self._book.take_back, dataset, last)
        except (ValueError, WriteError) as error:
            self._message.text = str(error)
            return
        self._done.pop()
        await self._go_to(last.sample_id)
        self._select(last.part)
        if self._label is not None:
            await self._refresh()
        if not is_back:
            self._message.text = "not undone: you have judged this part again, or taken that back, outside this page"

    async def _refresh(self) -> None:
        label = self._label
        assert label is not None
        said: dict[Part, list[Given]] = {part: [] for part in PART_NAMES}
        if "body_valid" in label.row and label.row["status"] != MISSED:
            try:
                said = await asyncio.to_thread(self._book.of, label)
            except ValueError as error:
                self._message.text = str(error)
        for part in PART_NAMES:
            row = self._rows[part]
            row.show(part_figures(label.row, part), told(said[part], self._book.reviewer, self._audit))
            row.mark(part == self._part)


class _PartRow:
    """A part: its number, its figures, and what everybody said of it."""

    def __init__(self, number: int, part: Part, press: Callable[[str], Awaitable[None]]) -> None:
        with ui.row().classes("items-center gap-2 no-wrap").style("width:400px"):
            self._button = ui.button(f"{number} {part_name(part)}", on_click=partial(press, str(number)))
            self._button.props("dense no-caps size=sm").classes("w-28 shrink-0")
            self._figures = ui.label().classes("text-caption shrink-0").style("width:110px;line-height:1.2")
            self._said = ui.row().classes("gap-1").mark(f"verdicts-{part}")

    def mark(self, is_selected: bool) -> None:
        """Shows whether the part is the selected one."""
        self._button.props(add="" if is_selected else "outline", remove="outline" if is_selected else "")

    def show(self, figures: str, said: list[Given]) -> None:
        """Shows what is known of the part."""
        self._figures.text = figures
        self._said.clear()
        with self._said:
            for given in said:
                review = given.review
                text = f"{review.reviewer}: {review.verdict}" + (" (stale)" if given.is_stale else "")
                badge = ui.badge(text, color="grey" if given.is_stale else _COLOURS[review.verdict])
                audit = f", audit {review.audit}" if review.audit else ""
                badge.tooltip(f"{review.reviewed_utc:%Y-%m-%d %H:%M} UTC{audit}")
                if review.note:
                    ui.label(review.note).classes("text-caption text-grey")
