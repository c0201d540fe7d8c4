"""A page as headless Chromium shows it: its DOM or a picture."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


def browse(url: str, profile: Path, *options: str, size: str = "1400,1100") -> str:
    """Opens a page and lets its scripts run; what Chromium printed."""
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-background-networking", "--no-first-run",
        "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={profile}", f"--window-size={size}",
        "--virtual-time-budget=15000", "--timeout=60000", *(options or ["--dump-dom"]), url,
    ]  # fmt: skip
    if not any("swiftshader" in option for option in options):
        command.insert(1, "--disable-gpu")
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def picture_of(url: str, folder: Path, *options: str, size: str = "1400,1100") -> np.ndarray:
    """The page as a picture (H, W, 3) that is not blank."""
    path = folder / "page.png"
    browse(url, folder / "profile", f"--screenshot={path}", *options, size=size)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3)[::37], axis=0)) > 20, "the page is blank"
    return pixels
