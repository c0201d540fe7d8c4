"""Correcting: keypoints are dragged in the photo or marked unusable, the person is fitted again, before is shown beside
after, and what was done is kept or forgotten."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from nicegui import events, ui

from datasets_manifest.files import WriteError
from datasets_manifest.schema.ehm_fields import PART_NAMES
from tasks.view import pictures
from tasks.view.correct_drawn import Side, points_svg
from tasks.view.index import Label, LabelIndex
from tasks.view.kinds import MISSED
from tasks.view.leaving import mark_unsaved
from tasks.view.query import media_url
from tasks.view.state import View
from tasks.view.words import kept_words, part_name, tried_lines
from tasks.wording import counted

if TYPE_CHECKING:
    from model.renderer.overlay import View as Window
    from tasks.view.trial import Trial

_NEAR_PX = 14.0
"""How near to a keypoint, in px of the picture, it is taken hold of."""
_SAME_PX = 1.5
_BUTTONS = {
    "x": "unusable (x)",
    "X": "all shown unusable (X)",
    "b": "as found (b)",
    "u": "undo (u)",
    "e": "fit again (e)",
    "s": "keep (s)",
    "Escape": "discard (Esc)",
}


class CorrectionPanel:
    """Closed at first; one person at a time."""

    def __init__(
        self,
        view: View,
        index: LabelIndex,
        press: Callable[[str], Awaitable[None]],
        reload: Callable[[], Awaitable[None]],
        *,
        hide: ui.element,
        message: ui.label,
    ) -> None:
        """Takes what buttons do by their keys, how to show the person again, what is hidden meanwhile, and where to
        say what happened."""
        self._view, self._index, self._reload, self._hide = view, index, reload, hide
        self._label: Label | None = None
        self._trial: Trial | None = None
        self._window: Window | None = None
        self._region, self._chosen, self._held = PART_NAMES[0], 0, False
        self._points = np.zeros((0, 3))
        self._is_saving = False
        self.can_correct = False
        """Whether the person is one whose keypoints can be corrected here."""
        self._message = message
        with ui.row().classes("no-wrap gap-3 items-start") as self._panel:
            self._image = ui.interactive_image(
                size=(720, 720), on_mouse=self._on_mouse, events=["mousedown", "mousemove", "mouseup"], sanitize=False
            ).style("width:720px;height:720px")
            with ui.column().classes("gap-1"):
                with ui.row().classes("gap-1"):
                    for k, part in enumerate(PART_NAMES, 1):
                        button = ui.button(f"{k} {part_name(part)}", on_click=partial(press, str(k)))
                        button.props("dense flat no-caps")
                self._select = ui.select({}, label="keypoint", on_change=self._on_select).props("dense").classes("w-64")
                with ui.row().classes("gap-1"):
                    for key, text in _BUTTONS.items():
                        ui.button(text, on_click=partial(press, key)).props("dense no-caps outline")
                with ui.row().classes("no-wrap gap-1"):
                    self._sides = {name: Side(name) for name in ("before", "after")}
                self._list = ui.label().classes("text-caption").style("white-space:pre-line")
        self._panel.visible = False

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What keys do here."""
        if self._view.opened.read_only:
            return []
        return [
            ("c", "correct keypoints: drag one, or choose it and click where it is"),
            ("x X", "the chosen keypoint, all keypoints of the region are unusable"),
            ("b", "the chosen keypoint is as it was found: takes a correction back"),
            ("e", "fit the person again with what was done"),
            ("s Esc", "keep it; discard it: you are asked which before something else is shown"),
        ]

    async def show(self, label: Label) -> None:
        """Another person is looked at."""
        self._label = label
        self.close()
        is_label = "body_valid" in label.row and label.row["status"] != MISSED
        self.can_correct = is_label and not self._view.opened.read_only
        self._message.text = await asyncio.to_thread(self._kept_text, label) if self.can_correct else ""

    def clear(self) -> None:
        """Nobody is looked at: there is no label to correct."""
        self._label, self.can_correct, self._message.text = None, False, ""
        self.close()

    @property
    def num_unsaved(self) -> int:
        """Corrections that are tried and not kept."""
        return 0 if self._trial is None else len(self._trial.tried)

    async def open(self) -> None:
        """Begins; says why not if it cannot."""
        label = self._label
        if label is None:
            if not self._view.opened.read_only:
                self._message.text = "there is no label to correct here"
            return
        if not self.can_correct:
            return
        if not pictures.is_ready(self._view):
            self._message.text = "the body is still being read; try again in some seconds"
            return
        try:
            self._trial = await asyncio.to_thread(_trial, self._view, label)
        except (ValueError, OSError) as error:
            self._message.text = str(error)
            return
        self._panel.visible, self._hide.visible = True, False
        self._message.text = kept_words(self._trial.kept, self._trial.stale)
        self._sides["before"].show(label.row, await self._drawn(label.row))
        self._sides["after"].show({}, "")
        await self._show_region(PART_NAMES[0])

    def close(self) -> None:
        """Forgets what was tried."""
        self._trial, self._held, self._panel.visible, self._hide.visible = None, False, False, True
        self._image.content = ""  # Or the next one would be shown with these points for a moment.
        mark_unsaved(self._panel, 0)

    async def on_key(self, key: str) -> bool:
        """Obeys a key; whether it was one of those here."""
        if self._trial is None:
            if key == "c":
                await self.open()
            return key == "c"
        trial = self._trial
        if key in ("1", "2", "3", "4"):
            await self._show_region(PART_NAMES[int(key) - 1])
        elif key == "x":
            trial.leave_out([self._chosen])
        elif key == "X":
            trial.leave_out(self._shown())
        elif key == "b":
            trial.take_back([self._chosen])
        elif key == "u":
            trial.undo()
        elif key == "e":
            await self._refit(trial)
        elif key == "s":
            await self.keep()
            return True
        elif key == "Escape":
            self.close()
            return True
        else:
            return key in ("a", "r", "f", "A", "n", "v")
        self._draw()
        return True

    async def _show_region(self, region: str) -> None:
        """The photo around a part, or around the person where the part was not seen."""
        label = self._label
        assert label is not None
        number = self._index.number(label.row["sample_id"])
        assert number is not None
        from tasks.view.drawings import LARGE_PX, region_view, shown_row

        row = shown_row(label.row)
        window = region_view(row, region, LARGE_PX)
        self._region, self._window = region, window or region_view(row, "photo", LARGE_PX)
        what = f"photo-{region}.jpg" if window is not None and region != PART_NAMES[0] else "photo.jpg"
        self._image.set_source(media_url(self._index.stamp, number, what))
        from model.body.skeleton import KEYPOINT_NAMES

        names = {k: KEYPOINT_NAMES[k] for k in _region_keypoints(region)}
        self._chosen = next(iter(names))
        self._select.set_options(names, value=self._chosen)
        self._draw()

    def _on_select(self, event: events.ValueChangeEventArguments) -> None:
        if event.value is not None:
            self._chosen = event.value
            self._draw()

    def _shown(self) -> list[int]:
        return list(_region_keypoints(self._region))

    def _on_mouse(self, event: events.MouseEventArguments) -> None:
        if self._trial is None or self._window is None or self._is_saving:
            return
        at = np.array([event.image_x, event.image_y])
        if event.type == "mousedown":
            own = self._shown()
            distance = np.linalg.norm(self._points[own, :2] - at, axis=1)
            distance[self._points[own, 2] <= 0] = np.inf
            if distance.min() < _NEAR_PX:
                self._select.value = self._chosen = own[int(distance.argmin())]
                self._start = self._points[self._chosen, :2].copy()
                self._held = True
            elif self._points[self._chosen, 2] <= 0:  # A chosen one that is nowhere is put where it is clicked.
                self._put(at)
        elif event.type == "mousemove" and self._held:
            self._points[self._chosen, :2] = at
            self._image.content = self._drawn_points()
        elif event.type == "mouseup" and self._held:
            self._held = False
            if np.linalg.norm(at - self._start) > _SAME_PX:
                self._put(at)
            else:
                self._draw()

    def _put(self, at: np.ndarray) -> None:
        assert self._trial is not None
        assert self._window is not None
        x_px, y_px = ((np.clip(at, 0, self._window.size_px) - self._window.offset_px) / self._window.scale).tolist()
        self._trial.move(self._chosen, x_px, y_px)
        self._draw()

    def _draw(self) -> None:
        """Keypoints over the photo, and the list of what was done."""
        if self._trial is None or self._window is None:
            return
        self._points = self._trial.keypoints()
        self._points[:, :2] = self._window.apply(self._points[:, :2])
        self._image.content = self._drawn_points()
        self._list.text = "\n".join(tried_lines(self._trial.tried))
        mark_unsaved(self._panel, self.num_unsaved)

    def _drawn_points(self) -> str:
        assert self._trial is not None
        moved = {one.keypoint for one in (*self._trial.kept, *self._trial.tried) if one.state == "moved"}
        return points_svg(self._points, self._shown(), moved, self._chosen)

    async def _refit(self, trial: Trial) -> dict[str, Any] | None:
        started = time.perf_counter()
        try:
            row = await asyncio.to_thread(trial.refit)
        except ValueError as error:
            self._message.text = str(error)
            return None
        self._sides["after"].show(row, await self._drawn(row))
        self._message.text = f"fitted again in {time.perf_counter() - started:.1f} s; nothing is kept yet"
        return row

    async def keep(self) -> bool:
        """Puts what is tried on disk, and says so; whether it is there."""
        trial = self._trial
        if trial is None or not trial.tried:
            self._message.text = "nothing was corrected"
            return False
        num = len(trial.tried)
        self._held, self._is_saving = False, True
        try:
            command = await asyncio.to_thread(trial.keep)
            await self._reload()
        except (ValueError, WriteError) as error:
            self._message.text = str(error)
            return False
        finally:
            self._is_saving = False
            self._draw()
        again = f"; `{command}` makes the labels of it" if command else ""
        self._message.text = f"kept {counted(num, 'correction')}{again}"
        return True

    async def _drawn(self, row: dict[str, Any]) -> str:
        """The mesh over the photo as an address that holds the picture itself."""
        try:
            data = await asyncio.to_thread(pictures.drawings(self._view).of_label, row, "overlay.jpg")
        except ValueError as error:
            self._message.text = str(error)
            return ""
        return "" if data is None else f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"

    def _kept_text(self, label: Label) -> str:
        """How many corrections of a person are kept, and how many are stale."""
        from datasets_manifest.corrections.kept import read_corrections

        try:
            kept = read_corrections(self._view.opened.config.output.corrections, label.row["dataset"])
        except ValueError as error:
            return str(error)
        own = kept.of_sample.get(label.row["sample_id"], ())
        if not own:
            return ""
        try:
            trial = _trial(self._view, label)
        except (ValueError, OSError) as error:
            return f"{kept_words(own, ())}; whether that is obeyed cannot be told: {error}"
        return kept_words(trial.kept, trial.stale)


def _trial(view: View, label: Label) -> Trial:
    from tasks.view.trial import Trial

    return Trial(view, label)


def _region_keypoints(region: str) -> range:
    from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND

    of_part = {"left_hand": LEFT_HAND, "right_hand": RIGHT_HAND, "face": FACE}
    return range(of_part[region].start, of_part[region].stop) if region in of_part else range(FACE.start)
