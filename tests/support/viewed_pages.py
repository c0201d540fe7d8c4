"""`pear view` as a process, and headless Chromium looking at it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chromium import CHROMIUM

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
_START_S = 120


@contextmanager
def viewing(params: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serves labels until the end of the block; their address, without a slash at its end, and the process."""
    command = [Path(sys.executable).parent / "pear", "view", "--params", params, "--port", "0", *words]
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, cwd=params.parent, env=os.environ
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, line
        yield next(word for word in line.split() if word.startswith("http://")).rstrip("/"), process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def a_browser() -> Iterator:
    """Headless Chromium that draws meshes without a graphics card; one a process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", *WEBGL]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextmanager
def looking(browser, address: str, *, until_killed: bool = False) -> Iterator:
    """A page; it must ask no other host and, unless its server is killed meanwhile, report no error."""
    wrong = []
    own = (address, "data:", "blob:", address.replace("http", "ws", 1))
    page = browser.new_page(viewport={"width": 1400, "height": 950})
    page.set_default_timeout(60_000)
    page.on("request", lambda request: None if request.url.startswith(own) else wrong.append(request.url))
    if not until_killed:
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert not wrong


def wait_for_pictures(page) -> None:
    """Waits until every picture of a person that is shown is there."""
    own = "Array.from(document.images).filter(i => i.src.includes('/media/') && i.offsetParent)"
    page.wait_for_function(f"{own}.length > 0 && {own}.every(i => i.complete && i.naturalWidth > 0)")
