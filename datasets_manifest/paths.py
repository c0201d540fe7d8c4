"""Paths that come from data: they name a file inside the data set's root or they are refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def inside(root: Path, relative: str) -> Path:
    """Return ``root / relative``, resolved, if it lies inside ``root`` once all links are followed.

    Raises:
        ValueError: the path is empty, absolute, climbs with .., holds a NUL or backslash, or leads outside by a link.
    """
    pure = PurePosixPath(relative)
    if not relative or "\0" in relative or "\\" in relative or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"The path {relative!r} is not a plain path relative to the data set's root {root}.")
    try:
        home = root.resolve()
        path = (home / pure).resolve()
    except (OSError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"The path {relative!r} cannot be followed below {root} ({error}).") from error
    if not path.is_relative_to(home):
        raise ValueError(f"The path {relative!r} leads outside the data set's root {root} (to {path}).")
    return path
