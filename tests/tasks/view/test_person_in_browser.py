"""The page of a person in Chromium: keys, verdicts that are on disk before they are shown, corrections by mouse."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from chromium import needs_browser
from viewed_pages import a_browser, looking, viewing, wait_for_pictures

from datasets_manifest.corrections.kept import read_corrections
from datasets_manifest.reviews.verdicts import read_verdicts

pytest.importorskip("nicegui", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = needs_browser
SHOTS = os.environ.get("PEAR_SCREENSHOTS")
"""Folder that pictures of the pages are kept in, for the documentation."""


@pytest.fixture(scope="module")
def project(rendered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed")
    for name in ("work", "labels"):
        shutil.copytree(rendered.parent / name, folder / name)
    names = ("work", "labels", "corrections", "report", "metrics")
    settings = [word for name in names for word in ("--set", f"output.{name}={folder / name}")]
    return rendered, folder, [*settings, "--reviews", str(folder / "reviews")]


@pytest.fixture(scope="module")
def browser():
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(project, browser):
    params, _, words = project
    with viewing(params, *words, "--reviewer", "anna") as (address, _), looking(browser, address) as page:
        page.address = address
        yield page


@pytest.fixture
def person(page):
    """The first of the people, all of whose pictures are there."""
    page.goto(f"{page.address}/person")
    wait_for_pictures(page)
    return page


def sample(page):
    return page.locator(".text-subtitle1").inner_text()


def said(page):
    return page.locator(".q-badge").all_inner_texts()


def until(page, found, seconds=10.0):
    """Waits for something to become so; how long it took."""
    start = time.perf_counter()
    while not found(page):
        assert time.perf_counter() - start < seconds, (sample(page), said(page))
        page.wait_for_timeout(5)
    return time.perf_counter() - start


def on_disk(folder):
    table = read_verdicts(folder / "reviews").table
    return {
        (sample, part): verdict
        for sample, part, verdict in zip(*(table[n].to_pylist() for n in ("sample_id", "part", "verdict")), strict=True)
    }


def kept_picture(page, name):
    """Of the page, for the documentation where that is asked for."""
    page.wait_for_timeout(1500)
    picture = page.screenshot(type="jpeg", quality=80)
    assert len(picture) > 20_000
    if SHOTS:
        (Path(SHOTS) / f"{name}.jpg").write_bytes(picture)


def test_verdicts_by_keys(person, project):
    folder, first = project[1], sample(person)
    person.keyboard.press("a")
    until(person, lambda page: said(page) == ["anna: accept"])
    assert on_disk(folder) == {(first, "body"): "accept"}
    person.get_by_role("button", name="4 face").last.click()  # the focus of a button swallows no key
    person.keyboard.press("r")
    until(person, lambda page: "anna: reject" in said(page))
    assert on_disk(folder)[first, "face"] == "reject"
    kept_picture(person, "view_review")
    person.keyboard.press("n")
    person.keyboard.type("aaa")  # before the field has the focus they are no verdicts either
    person.locator("input:focus").wait_for()
    person.keyboard.type("far afar")
    person.keyboard.press("Enter")
    person.wait_for_timeout(300)
    person.keyboard.press("f")
    until(person, lambda page: "anna: flag" in said(page))
    assert any(
        note.endswith("far afar") for note in read_verdicts(folder / "reviews").table["note"].to_pylist() if note
    )
    assert len(on_disk(folder)) == 2
    for _ in range(3):
        person.keyboard.press("u")
    until(person, lambda page: said(page) == [])
    assert on_disk(folder) == {}
    person.keyboard.press("?")
    keys = person.get_by_text("accept every part that is valid")
    keys.wait_for()
    person.keyboard.press("Escape")
    keys.wait_for(state="hidden")


def test_the_next_and_the_previous_and_a_link_that_leads_back(person):
    first = sample(person)
    kept_picture(person, "view_person")
    person.keyboard.press("j")
    until(person, lambda page: sample(page) != first)
    second = sample(person)
    wait_for_pictures(person)
    person.keyboard.press("k")
    until(person, lambda page: sample(page) == first)
    person.keyboard.press("j")
    until(person, lambda page: sample(page) == second)
    until(person, lambda page: second.replace("#", "%23").rpartition("/")[2] in page.url)
    person.reload()
    until(person, lambda page: sample(page) == second)


def test_the_mesh_turns_and_stays_turned_after_a_verdict(person):
    canvas = person.locator("canvas")
    person.wait_for_timeout(2000)
    before, box = canvas.screenshot(), canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    person.mouse.move(x, y)
    person.mouse.down()
    person.mouse.move(x + 120, y + 10, steps=8)
    person.mouse.up()
    person.wait_for_timeout(1500)
    turned = canvas.screenshot()
    assert turned != before
    person.keyboard.press("a")
    until(person, lambda page: said(page) != [])
    person.wait_for_timeout(500)
    assert canvas.screenshot() == turned
    person.keyboard.press("u")
    until(person, lambda page: said(page) == [])


def test_an_audit_goes_on_by_itself_and_its_verdicts_say_so(page, project):
    page.goto(f"{page.address}/person?audit=-1-3-body-valid")
    page.wait_for_selector(".text-subtitle1")
    first = sample(page)
    page.keyboard.press("a")
    until(page, lambda page: sample(page) != first)
    table = read_verdicts(project[1] / "reviews", audit="-1-3-body-valid").table
    assert table.select(["sample_id", "part", "verdict"]).to_pylist() == [
        {"sample_id": first, "part": "body", "verdict": "accept"}
    ]
    page.keyboard.press("u")
    until(page, lambda page: sample(page) == first)
    assert read_verdicts(project[1] / "reviews", audit="-1-3-body-valid").table.num_rows == 0


def drag_a_keypoint(page, by=(30, -12)):
    """Begins to correct, and moves an ankle."""
    page.keyboard.press("c")
    page.get_by_text("fit again (e)").wait_for()
    drawn = page.locator("svg:has(circle)").first
    drawn.wait_for()
    place, circles = drawn.bounding_box(), drawn.locator("circle")
    ankle = circles.nth(circles.count() - 3)
    x, y = (place[side] + float(ankle.get_attribute(name)) for side, name in (("x", "cx"), ("y", "cy")))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0], y + by[1], steps=4)
    page.mouse.up()
    page.get_by_text("moved: ").wait_for()


def test_what_is_not_kept_is_asked_for_once(person, project):
    """Keys and links by a dialog, whose answers are all tried; what leaves the document by the browser itself."""
    first, asked = sample(person), []
    person.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    drag_a_keypoint(person)
    question = person.get_by_text("1 correction on this page is not kept")
    for leave in (
        lambda: person.keyboard.press("j"),
        lambda: person.get_by_role("button", name="next (j)").click(),
        lambda: person.get_by_role("link", name="Audit").click(),
    ):
        leave()
        question.wait_for()
        kept_picture(person, "view_unsaved")
        person.keyboard.press("Escape")  # stays, and discards nothing
        question.wait_for(state="hidden")
        assert person.get_by_text("moved: ").is_visible()
        assert asked == []
    for number, leave in enumerate(("history.back()", "location.reload()"), 1):
        person.evaluate(leave)
        until(person, lambda _, number=number: asked == ["beforeunload"] * number)
    assert sample(person) == first
    person.keyboard.press("j")
    question.wait_for()
    person.keyboard.press("d")
    until(person, lambda page: sample(page) != first)
    question.wait_for(state="hidden")  # it takes the mouse until then
    wait_for_pictures(person)
    drag_a_keypoint(person)
    person.get_by_role("link", name="Table").click()
    question.wait_for()
    person.get_by_role("button", name="keep (s)").last.click()
    person.locator("tbody tr td").first.wait_for()
    assert len(asked) == 2
    ((one,),) = read_corrections(project[1] / "corrections", "few").of_sample.values()
    assert one.state == "moved"


def test_a_keypoint_is_dragged_and_the_person_fitted_again(person, project):
    drag_a_keypoint(person)
    keys = person.get_by_text("accept every part that is valid")
    person.keyboard.press("?")
    keys.wait_for()
    person.keyboard.press("Escape")  # closes the list, and discards nothing
    keys.wait_for(state="hidden")
    assert person.get_by_text("moved: ").is_visible()
    person.keyboard.press("e")
    person.get_by_text("fitted again in").wait_for()
    kept_picture(person, "view_correct")
    before = read_corrections(project[1] / "corrections", "few").of_sample
    person.keyboard.press("s")
    person.get_by_text("kept 1 correction; `pear annotate").wait_for()
    after = read_corrections(project[1] / "corrections", "few").of_sample
    ((one,),) = (after[name] for name in set(after) - set(before))
    assert (one.state, one.corrected_by) == ("moved", "anna")
    moved = np.array([one.x_px - one.was_x_px, one.y_px - one.was_y_px])
    assert moved[0] / moved[1] == pytest.approx(30 / -12, rel=0.1)


def test_kill_9_loses_no_verdict_that_the_page_showed(project, browser):
    params, folder, words = project
    with (
        viewing(params, *words, "--reviewer", "kim") as (address, process),
        looking(browser, address, until_killed=True) as page,
    ):
        page.goto(f"{address}/person")
        page.wait_for_selector(".text-subtitle1")
        for key in "rfa":
            page.keyboard.press(key)
        until(page, lambda page: len([text for text in said(page) if text.startswith("kim")]) >= 2)
        os.kill(process.pid, signal.SIGKILL)
        shown = sorted(text.removeprefix("kim: ") for text in said(page) if text.startswith("kim"))
        table = read_verdicts(folder / "reviews").table
        kept = [
            v
            for v, who in zip(table["verdict"].to_pylist(), table["reviewer"].to_pylist(), strict=True)
            if who == "kim"
        ]
        assert set(shown) <= set(kept)


def test_others_verdicts_are_shown_and_read_only_gives_none(project, browser):
    params, folder, words = project
    before = sorted(folder.glob("reviews/*/*"))
    with viewing(params, *words, "--read-only") as (address, _), looking(browser, address) as page:
        page.goto(f"{address}/person")
        until(page, lambda page: any(text.startswith("kim: ") for text in said(page)), 30)
        page.get_by_text("read-only: nothing can be judged").wait_for()
        for key in "arfuAcx":
            page.keyboard.press(key)
        page.wait_for_timeout(500)
        assert not page.get_by_text("accept (a)").count()
    assert sorted(folder.glob("reviews/*/*")) == before
