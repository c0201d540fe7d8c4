"""The dialog about what is not kept: nothing is lost or kept but by an answer, and only then somebody leaves."""

import asyncio

import pytest

pytest.importorskip("nicegui", reason="the extra view is not installed")

from nicegui import Client, ui

from tasks.view.leaving import Leaving


@pytest.mark.parametrize(
    ("keys", "can_keep", "done"),
    [
        ("jaX?", True, []),
        (("Escape",), True, []),
        ("d", True, ["discard", "go"]),
        ("s", True, ["keep", "discard", "go"]),
        ("s", False, ["keep"]),
    ],
)
def test_an_answer(keys, can_keep, done):
    seen = []

    async def noted(what, answer=None):
        seen.append(what)
        return answer

    async def press(key):
        await leaving.on_key(key)

    with Client(ui.page("/leaving")):
        leaving = Leaving(press, keep=lambda: noted("keep", can_keep), discard=lambda: seen.append("discard"))
        leaving.ask(1, lambda: noted("go"))
        assert leaving.is_asking
        for key in keys:
            asyncio.run(press(key))
    assert seen == done
    assert leaving.is_asking == (keys == "jaX?")
