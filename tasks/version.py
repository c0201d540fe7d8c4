"""The version of this program, as every footer states it."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@lru_cache(maxsize=1)
def code_version() -> str:
    """Version of the package, with the commit where the code lies in a git checkout."""
    try:
        released = version("pear-pipeline")
    except PackageNotFoundError:
        released = "unknown"
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return released
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return released
    return f"{released}+g{commit}"
