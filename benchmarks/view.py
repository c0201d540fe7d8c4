"""The viewer over many labels, as headless Chromium sees it: times, memory, requests to other hosts.

    python -m benchmarks.view                                  the table of docs/view.md, on 10^6 people
    python -m benchmarks.view --people 2000                    a check of the program
    python -m benchmarks.view --labels LABELS --pictures docs  of labels that there are; takes the pictures of the docs

Needs playwright and Chromium. Everything is timed from the click or the key to the changed page (the next page to the
frame after it, in the browser itself); text fields wait 0.3 s for the next letter, which is included. Memory is of the
server, with the networks that pictures need.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.table import Column, Row, markdown
from benchmarks.view_people import write_people

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--ignore-gpu-blocklist",
)
"""A mesh is drawn without a graphics card."""
_SHOWN = """() => {
  const texts = ['.pear-count', '.q-table__bottom', 'tbody'].map(name => document.querySelector(name)?.textContent);
  return document.querySelector('tbody tr td') ? texts.join() : ''
}"""
_CLICK = f"""async button => {{
  const shown = {_SHOWN}, before = shown(), begin = performance.now(), frame = () => new Promise(requestAnimationFrame)
  button.click()
  while (!shown() || shown() === before) await frame()
  await frame()
  return (performance.now() - begin) / 1000
}}"""
"""Seconds from a click to the frame after the one that the change is in."""
_TURNS = ("chevron_right", "chevron_right", "chevron_left", "last_page", "first_page") * 4
COLUMNS = (
    Column(title="what", text=lambda row: str(row["what"])),
    Column(title="to reach", text=lambda row: str(row["limit"])),
    Column(title="measured", text=lambda row: str(row["value"])),
    Column(title="", text=lambda row: "" if row["ok"] else "missed"),
)
_BETWEEN_MS = 300
"""Between two pages: nobody turns them faster than they can be seen."""
_AUDIT = "/audit?audit=0-300-face-valid"


@dataclass(kw_only=True, slots=True)
class Measured:
    """What a browser found."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """By what was done, every time that it took."""
    megabytes: dict[str, float] = field(default_factory=dict)
    """Of the server."""
    foreign: list[str] = field(default_factory=list)
    """Requests to other hosts."""
    errors: list[str] = field(default_factory=list)
    """Of the console."""
    has_torch: bool = False
    """Whether the server had torch before it sent the first page."""

    def note(self, what: str, since: float) -> None:
        """Notes a time."""
        self.seconds.setdefault(what, []).append(time.perf_counter() - since)

    def rows(self) -> Iterator[Row]:
        """What was to be reached, and what was."""
        limits = {
            "progress is seen, without an index": 3.0,
            "table is seen, without an index": 60.0,
            "server answers, with an index": 5.0,
            "first page in a new browser": 5.0,
            "filter or sort": 1.0,
            "next page": 0.3,
            "sample of an audit": None,
        }
        for what, limit in limits.items():
            times = self.seconds[what]
            worst = float(np.quantile(times, 0.95))
            more = f"; median {np.median(times):.2f} of {len(times)}" if len(times) > 1 else ""
            said = "-" if limit is None else f"{limit:g} s"
            yield {"what": what, "limit": said, "value": f"{worst:.2f} s{more}", "ok": limit is None or worst <= limit}
        for what, limit in {"peak memory": 1000.0, "a further open page": 20.0}.items():
            found = self.megabytes[what]
            yield {"what": what, "limit": f"{limit:g} MB", "value": f"{found:.0f} MB", "ok": found <= limit}
        for what, found in {"requests to other hosts": self.foreign, "console errors": self.errors}.items():
            yield {"what": what, "limit": "none", "value": ", ".join(found) or "none", "ok": not found}
        had = "imported" if self.has_torch else "not imported"
        yield {"what": "torch before the first page", "limit": "not imported", "value": had, "ok": not self.has_torch}


@contextmanager
def serving(folder: Path, labels: Path) -> Iterator[tuple[str, int]]:
    """Runs `pear view` in a folder; its address and process."""
    command = [sys.executable, "-m", "flows.cli.app", "view", str(labels), "--port", "0", "--reviewer", "benchmark"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if "http://" not in line:
                raise RuntimeError(f"pear view did not begin: {line}")
            yield line.split()[1].rstrip("/"), server.pid
        finally:
            server.terminate()


def measure(folder: Path, labels: Path, pictures: Path | None = None) -> Measured:
    """Drives the viewer in a folder without an index of these labels."""
    from playwright.sync_api import sync_playwright

    found = Measured()
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with serving(folder, labels) as (address, _):
            _wait_for(address)
            page = _watched(browser, address, found)
            begin = time.perf_counter()
            page.goto(address)
            page.wait_for_selector(".q-linear-progress, tbody tr td")
            found.note("progress is seen, without an index", begin)
            page.wait_for_selector("tbody tr td", timeout=400_000)
            found.note("table is seen, without an index", begin)
            page.close()
        begin = time.perf_counter()
        with serving(folder, labels) as (address, pid):
            found.has_torch = "libtorch" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
            _wait_for(address)
            found.note("server answers, with an index", begin)
            page = _watched(browser, address, found)
            begin = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("tbody tr td")
            found.note("first page in a new browser", begin)
            _look(page, address, found)
            if pictures is not None:
                _picture(page, address, pictures)
            _memory(browser, address, pid, found)
        browser.close()
    return found


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address + "/media/none/0/none", timeout=5):
                return
        except urllib.error.HTTPError:  # It answers that there is none.
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{address} does not answer")


def _watched(browser: Browser, address: str, found: Measured) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 860})
    own = (address, address.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else found.foreign.append(request.url))
    page.on("console", lambda line: found.errors.append(line.text[-200:]) if line.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)[:200]))
    return page


def _look(page: Page, address: str, found: Measured) -> None:
    from playwright.sync_api import TimeoutError

    def until(what: str, act: Callable[[], Any]) -> None:
        before = page.evaluate(_SHOWN)
        begin = time.perf_counter()
        act()
        page.wait_for_function(f"before => {{ const now = ({_SHOWN})(); return now && now !== before }}", arg=before)
        found.note(what, begin)

    def tick(name: str, word: str) -> None:
        page.get_by_text(f"{name}: any", exact=True).click()
        box = page.locator(".q-menu .q-checkbox", has_text=re.compile(rf"^{word} \("))
        box.wait_for()
        page.wait_for_timeout(500)  # The menu opens slowly.
        until("filter or sort", box.click)
        page.keyboard.press("Escape")
        page.wait_for_function("() => !document.querySelector('.q-menu')")

    for column in ("face quality", "residual / box", "id", "reason"):
        head = page.locator("th", has_text=column).first
        head.scroll_into_view_if_needed()  # Who clicks sees it; scrolling there is no part of sorting.
        for _ in range(2):
            until("filter or sort", head.click)
    for icon in _TURNS:
        page.wait_for_timeout(_BETWEEN_MS)
        found.seconds.setdefault("next page", []).append(
            page.locator(f".q-table__bottom button:has-text('{icon}')").first.evaluate(_CLICK)
        )
    page.goto(address)
    page.wait_for_selector("tbody tr td")
    tick("status", "partial")
    tick("dataset", "set_3")
    tick("reason", "part_untrusted")
    until("filter or sort", lambda: page.get_by_label("id contains").fill("0001"))
    page.get_by_text("Figures").click()
    page.wait_for_timeout(500)
    until("filter or sort", lambda: page.get_by_label("face quality from").fill("0.3"))
    before = page.evaluate(_SHOWN)
    until("filter or sort", lambda: page.get_by_label("residual / box to").fill("0.8"))
    # The address says it all: the same again, and what was before after Back.
    after = page.evaluate(_SHOWN)
    for shown, act in ((after, page.reload), (before, page.go_back)):
        act()
        try:
            page.wait_for_function(f"shown => ({_SHOWN})() === shown", arg=shown, timeout=15_000)
            page.wait_for_function("() => window.socket?.connected")  # A page that is left before complains of it.
        except TimeoutError as error:
            found.errors.append(f"{page.url} shows something else than before: {error}"[:200])
    begin = time.perf_counter()
    page.goto(address + _AUDIT)
    page.wait_for_selector("tbody tr td")
    found.note("sample of an audit", begin)


def _picture(page: Page, address: str, folder: Path) -> None:
    for name, path in (("view_table", "/?status=partial&face_valid=yes&sort=-face_quality"), ("view_audit", _AUDIT)):
        page.goto(address + path)
        page.wait_for_selector("tbody tr td")
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / f"{name}.png")


def _memory(browser: Browser, address: str, pid: int, found: Measured, num_pages: int = 10) -> None:
    time.sleep(3)
    before = _status(pid, "RssAnon")
    for _ in range(num_pages):
        page = browser.new_page()
        page.goto(address + "/?sort=-face_quality")
        page.wait_for_selector("tbody tr td")
    time.sleep(2)
    found.megabytes["a further open page"] = (_status(pid, "RssAnon") - before) / num_pages
    found.megabytes["peak memory"] = _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--shard-people", type=int, default=1000)
    parser.add_argument("--labels", type=Path, help="Labels of benchmarks.view_people that there are already.")
    parser.add_argument("--pictures", type=Path, help="Folder of view_table.png and view_audit.png.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        labels = options.labels and options.labels.absolute()
        if labels is None:
            labels = Path(folder) / "labels"
            write_people(labels, options.people, options.shard_people)
        rows = list(measure(Path(folder), labels, options.pictures).rows())
    print(json.dumps(rows) if options.json else markdown(rows, COLUMNS))
    return rows


if __name__ == "__main__":
    main()
