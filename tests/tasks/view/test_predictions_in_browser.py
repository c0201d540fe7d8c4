"""Predictions in Chromium: the table with its filters, and a person as far as a prediction goes."""

import pytest
from chromium import needs_browser
from predictions_of_photos import BoxesByWidth, checkpoint, photo, settings
from viewed_pages import a_browser, looking, viewing, wait_for_pictures

pytest.importorskip("nicegui", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from model.estimators import registry
from tasks.predict.run import predict

pytestmark = needs_browser


def test_predictions_are_looked_at_and_not_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry._FACTORIES, ("keypoints", "by_width"), BoxesByWidth)
    (tmp_path / "in").mkdir()
    for width in (96, 64, 80):
        photo(tmp_path / f"in/{width}.png", width)
    (tmp_path / "net.safetensors").write_bytes(checkpoint())
    (tmp_path / "params.yaml").write_text("annotate: {}\n")
    predict(["in"], settings(tmp_path, tmp_path / "out"))
    words = (tmp_path / "out/people", "--root", f"predictions={tmp_path}", "--reviewer", "anna")
    with (
        a_browser() as browser,
        viewing(tmp_path / "params.yaml", *words) as (address, _),
        looking(browser, address) as page,
    ):
        page.goto(address)
        page.get_by_text("5 of 5: ").wait_for()
        page.screenshot(path=tmp_path / "table.png")
        page.goto(f"{address}/?status=ok&sort=-detection_score")
        page.get_by_text("2 of 5: 2 ok").wait_for()
        assert not page.get_by_text("Verdicts").count()
        page.locator("tbody a").first.click()
        wait_for_pictures(page)
        page.get_by_text("verdicts are about labels; these are predictions").wait_for()
        assert not page.get_by_text("accept (a)").is_visible()
        page.wait_for_timeout(1500)
        assert len(page.screenshot(path=tmp_path / "person.png")) > 20_000
        for key in "arfAc":
            page.keyboard.press(key)
        page.keyboard.press("j")
        page.get_by_text("2 of 2").wait_for()
        page.goto(f"{address}/audit")
        page.get_by_text("An audit is of labels").wait_for()
    assert not list(tmp_path.glob("reviews/*/*"))
