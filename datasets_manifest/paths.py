"""Paths: those of a person are taken as written, those that come from data name a file in the root or are refused."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Literal

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 3000

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

Links = Literal["follow", "refuse"]
"""What is done with a link that leads outside the root."""


def is_address(text: str | Path) -> bool:
    """Whether a text is an address, such as s3://bucket/labels; as ``Path`` has it, with one slash, it still is."""
    return _ADDRESS.match(str(text)) is not None


def placed(text: str | Path, folder: str | Path = "") -> Path:
    """Return the path that a person wrote: relative to ``folder``, with a ~ at its start for the home folder.

    Nothing else in it is replaced: no variable, no pattern.

    Raises:
        ValueError: it is empty, as of a shell's variable that is not set; there is no home folder of that name; or it
            is an address, which as a path would name a folder called s3: or the like.
    """
    if text == "":
        raise ValueError("A path is empty; name a file or folder, or . for the folder itself.")
    if is_address(text):
        raise ValueError(
            f"Expected a file or folder of this machine, got the address {str(text)!r}; give a path (a folder that is "
            "called so: its absolute path)."
        )
    try:
        return Path(folder) / Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"The path {str(text)!r} begins with a home folder that is not known; write it out, or ./~ for that name."
        ) from error


def fixed(path: Path) -> Path:
    """A path as it is named from any folder, without `..`."""
    path = path.absolute()
    return path.resolve() if ".." in path.parts else path


def plain(relative: str, root: object) -> PurePosixPath:
    """Return a path below ``root`` that names nothing outside it, as far as its text says.

    Raises:
        ValueError: the path is empty, absolute, climbs with .., holds a NUL or backslash, or is too long for a file
            system.
    """
    pure = PurePosixPath(relative)
    if not relative or "\0" in relative or "\\" in relative or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"The path {relative!r} is not a plain path relative to the data set's root {root}.")
    if len(os.fsencode(relative)) > MAX_PATH_BYTES or any(len(os.fsencode(p)) > MAX_NAME_BYTES for p in pure.parts):
        raise ValueError(f"The path {relative[:80]!r}... is too long for a file name.")
    return pure


def inside(root: Path, relative: str, links: Links = "refuse") -> Path:
    """Return ``root / relative``, resolved, wherever links lead or only if that lies inside ``root``.

    Raises:
        ValueError: as ``plain``; or a link leads outside and is not followed, or to itself.
    """
    pure = plain(relative, root)
    try:
        home = root.resolve()
        path = (home / pure).resolve()
    except (OSError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"The path {relative!r} cannot be followed below {root} ({error}).") from error
    if links == "refuse" and not path.is_relative_to(home):
        raise ValueError(
            f"The path {relative!r} leads outside the data set's root {root} (to {path}), and its manifest says links: "
            "refuse."
        )
    return path
