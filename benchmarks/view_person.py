"""The page of a person in headless Chromium: from a key to the verdict on disk, to the next person's pictures, and from
a corrected keypoint to the person fitted again.

    python -m benchmarks.view_person --params PARAMS      its labels, with their work/

Needs playwright and Chromium; writes into a folder of its own. Times are from the key to what is seen or on disk.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from benchmarks.table import Column, Row, markdown

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_PICTURES = "Array.from(document.images).filter(i => i.src.includes('/media/') && i.offsetParent)"
_READY = f"{_PICTURES}.length > 0 && {_PICTURES}.every(i => i.complete && i.naturalWidth > 0)"
_MOST_S = 60.0
_LIMITS = {"key to verdict on disk": 0.2, "key to next person's pictures": 1.0, "person fitted again": 2.0}
COLUMNS = (
    Column(title="what", text=lambda row: str(row["what"])),
    Column(title="to reach", text=lambda row: str(row["limit"])),
    Column(title="measured", text=lambda row: str(row["value"])),
    Column(title="", text=lambda row: str(row["missed"])),
)


def measure(params: Path, turns: int) -> dict[str, list[float]]:
    """Times in seconds, by what was done."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine, _serving(params, folder) as address:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 950})
        page.set_default_timeout(120_000)
        page.goto(f"{address}/person?status=ok&status=partial")
        page.wait_for_function(_READY)
        found = {what: list[float]() for what in _LIMITS}
        for turn in range(turns):
            page.wait_for_timeout(2000)  # Who looks at somebody gives the next two the time to come.
            found["key to verdict on disk"].append(_judge(page, Path(folder), turn))
            page.wait_for_timeout(500)
            found["key to next person's pictures"].append(_go_on(page))
        page.keyboard.press("c")
        page.get_by_text("fit again (e)").wait_for()
        page.keyboard.press("x")
        for _ in range(turns):
            page.keyboard.press("e")
            page.get_by_text("fitted again in").wait_for()
            page.wait_for_timeout(4000)
            found["person fitted again"].append(float(page.get_by_text("fitted again in").inner_text().split()[3]))
        browser.close()
    return found


@contextmanager
def _serving(params: Path, folder: str) -> Iterator[str]:
    command = [sys.executable, "-m", "flows.cli.app", "view", "--port", "0", "--reviewer", "benchmark"]
    command += ["--params", str(params), "--reviews", f"{folder}/reviews", "--set", f"output.corrections={folder}/own"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http://")).rstrip("/")
        finally:
            server.kill()


def _until(is_so: Callable[[], bool]) -> float:
    begin = time.perf_counter()
    while not is_so():
        time.sleep(0.002)
        if time.perf_counter() - begin > _MOST_S:
            raise RuntimeError(f"what a key should do was not done after {_MOST_S:g} s")
    return time.perf_counter() - begin


def _judge(page: Page, folder: Path, before: int) -> float:
    """From the key to one verdict more on disk, which is looked for while the browser still takes the key."""

    def on_disk() -> int:
        return sum(pq.read_metadata(path).num_rows for path in folder.glob("reviews/*/[!.]*.parquet"))

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(_until, lambda: on_disk() > before)
        page.keyboard.press("a")
        return found.result()


def _go_on(page: Page) -> float:
    name = page.locator(".text-subtitle1")
    last, begin = name.inner_text(), time.perf_counter()
    page.keyboard.press("j")
    _until(lambda: name.inner_text() != last)
    page.wait_for_function(_READY)
    return time.perf_counter() - begin


def rows(found: dict[str, list[float]]) -> Iterator[Row]:
    """The 95th percentile beside what is to be reached."""
    for what, limit in _LIMITS.items():
        worst, usual = np.quantile(found[what], (0.95, 0.5))
        value = f"{worst:.2f} s; median {usual:.2f} of {len(found[what])}"
        yield {"what": what, "limit": f"{limit:g} s", "value": value, "missed": "missed" * bool(worst > limit)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings of the labels")
    parser.add_argument("--turns", type=int, default=10, help="people that are looked at")
    arguments = parser.parse_args()
    print(markdown(list(rows(measure(arguments.params, arguments.turns))), COLUMNS))


if __name__ == "__main__":
    main()
