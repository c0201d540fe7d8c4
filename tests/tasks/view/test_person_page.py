"""The page of a person without a browser: whoever has no label to be read is not taken for the one before."""

import asyncio

import numpy as np
import pytest
from whole_labels import person, write

pytest.importorskip("nicegui", reason="the extra view is not installed")

from nicegui import Client, core, ui

from datasets_manifest.reviews.verdicts import read_verdicts
from tasks.annotate.settings import AnnotateConfig, OutputConfig
from tasks.view import pictures
from tasks.view.person import PersonPage
from tasks.view.query import Query
from tasks.view.state import Opened, View


@pytest.fixture
def view(tmp_path, monkeypatch):
    answers = {"is_ready": True, "fault": "", "look": ("", frozenset({"body", "face"}))}
    for name, answer in answers.items():
        monkeypatch.setattr(pictures, name, lambda *_, answer=answer: answer)
    for shard in range(2):
        write(tmp_path / "labels", [person(shard, np.random.default_rng(shard))], shard=shard)
    outputs = {name: str(tmp_path / name) for name in ("work", "labels", "corrections")}
    config = AnnotateConfig(output=OutputConfig(**outputs))
    view = View(Opened(labels=tmp_path / "labels", config=config, reviews=tmp_path / "reviews", reviewer="anna"))
    view.refresh()
    return view


def test_a_person_without_a_label_is_not_judged_as_the_one_before(view, tmp_path, monkeypatch):
    async def look():
        monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
        with Client(ui.page("/person"), request=None):
            page = PersonPage(view, view.index, Query(), view.order(view.index, Query()))
            texts = {name: getattr(page, f"_{name}") for name in ("title", "place", "problem", "lines", "figures")}
            await page.show(0)
            assert texts["title"].text == "demo/train/0.jpg#0"
            assert page._scene.objects
            assert page._large.props["src"]
            await page.obey("a")
            next((tmp_path / "labels").rglob("*00001.parquet")).touch()
            await page.obey("j")
            for key in ("a", "r", "f", "A", "c", "s", "e", "v", "n"):
                await page.obey(key)
            said = {name: label.text for name, label in texts.items()}
            judged, corrected = page._judge._message.text, page._correct._message.text
            shown = page._large.props["src"], page._crops["face"]._image.props["src"], dict(page._scene.objects)
            await page.obey("u")
            assert texts["title"].text == "demo/train/0.jpg#0"
            await page.obey("r")
        return said, (judged, corrected), shown

    said, messages, shown = asyncio.run(look())
    assert (said["title"], said["place"], said["lines"], said["figures"]) == ("demo/train/1.jpg#0", "2 of 2", "", "")
    assert 'press "labels changed: reload"' in said["problem"]
    assert messages == ("there is no label to judge here", "there is no label to correct here")
    assert shown == ("", "", {})
    verdicts = read_verdicts(tmp_path / "reviews").table.select(["sample_id", "verdict"]).to_pylist()
    assert [tuple(row.values()) for row in verdicts] == [("demo/train/0.jpg#0", "reject")]
