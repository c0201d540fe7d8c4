"""The pure-Python packages that a run on a bare machine takes along."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PRESENT = ("torch", "numpy")
"""Packages that the machine must have: their compiled parts fit its processor and its GPU."""
CARRIED = ("roma", "pytest", "pluggy", "iniconfig", "packaging", "pygments")
"""All others that ``benchmarks.gpu`` needs; pure Python, so that a copy runs anywhere."""


def carry(folder: Path) -> list[str]:
    """Copies the packages of `CARRIED` as they are installed here to a folder, which goes into PYTHONPATH there.

    Returns:
        Name and version of each.

    Raises:
        ValueError: A package is not installed here, or is not pure Python.
    """
    copied = []
    for name in CARRIED:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            raise ValueError(f"{name} is not installed here: install the project's `dev` packages first") from None
        if "Root-Is-Purelib: true" not in (package.read_text("WHEEL") or ""):
            raise ValueError(f"{name} {package.version} is not pure Python: it cannot be carried")
        for file in package.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
        copied.append(f"{name} {package.version}")
    return copied
