"""The panel that keypoints are corrected in: what was tried is never lost without a word."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="the extra view is not installed")

from nicegui import Client, ui

from tasks.view.correct import CorrectionPanel


class Tried:
    """Stands for a trial: what is tried is a list of names."""

    kept = stale = ()

    def __init__(self):
        self.tried, self.while_keeping = [], lambda: None

    def move(self, keypoint, x_px, y_px):
        self.tried.append(SimpleNamespace(keypoint=keypoint, state="moved"))

    def keypoints(self):
        return np.ones((133, 3))

    def keep(self):
        self.while_keeping()
        self.tried.clear()
        return "pear annotate few.yaml"


@pytest.fixture
def panel():
    """As it is while somebody is corrected; it is drawn for nobody."""

    async def nothing(*_):
        pass

    with Client(ui.page("/corrected")):
        message, hide = ui.label(), ui.element()
        panel = CorrectionPanel(None, None, nothing, nothing, hide=hide, message=message)
    panel.message, panel._trial, panel._panel.visible = message, Tried(), True
    panel._window = SimpleNamespace(size_px=720, offset_px=np.zeros(2), scale=1.0, apply=lambda points: points)
    return panel


def mouse(panel, kind, x, y):
    panel._on_mouse(SimpleNamespace(type=kind, image_x=x, image_y=y))


def drag(panel):
    panel._draw()
    mouse(panel, "mousedown", 1, 1)
    mouse(panel, "mousemove", 20, 20)
    mouse(panel, "mouseup", 40, 40)


def test_what_was_tried_is_unsaved_until_it_is_kept_or_discarded(panel):
    marked = [panel._panel.props.get("data-unsaved")]
    for key in ("s", "Escape"):
        panel._trial = Tried()
        drag(panel)
        drag(panel)
        assert panel.num_unsaved == 2
        marked.append(panel._panel.props.get("data-unsaved"))
        assert asyncio.run(panel.on_key(key))
        assert panel.num_unsaved == 0
        marked.append(panel._panel.props.get("data-unsaved"))
    assert marked == [None, 2, None, 2, None]


def test_the_mouse_does_nothing_while_corrections_are_saved(panel):
    drag(panel)
    trial = panel._trial
    trial.while_keeping = lambda: drag(panel) or seen.append(len(trial.tried))
    seen = []
    asyncio.run(panel.on_key("s"))
    assert seen == [1]
    assert panel.message.text == "kept 1 correction; `pear annotate few.yaml` makes the labels of it"
    drag(panel)
    assert len(trial.tried) == 1


def test_whoever_is_closed_in_the_middle_of_a_drag_holds_nothing(panel):
    panel._draw()
    mouse(panel, "mousedown", 1, 1)
    panel.close()
    panel._trial = Tried()
    mouse(panel, "mouseup", 40, 40)
    assert panel._trial.tried == []
