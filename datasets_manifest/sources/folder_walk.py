"""The files below a folder, each once, and what of it could not be looked into: nothing vanishes without a word."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from datasets_manifest.paths import Links
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError


@dataclass(kw_only=True, slots=True)
class FolderWalk:
    """What was found."""

    files: list[str] = field(default_factory=list)
    """Paths below the folder, with forward slashes, each folder's own files before those of the folders in it. Pipes
    and other things that are no folders are among them; hidden files, and those of hidden folders, are not."""
    problems: list[tuple[str, ImageError]] = field(default_factory=list)
    """Folders whose files could not be listed, each with the reason."""
    followed: int = 0
    """Linked folders that were looked into."""
    left_out: int = 0
    """Linked folders that were not: links are refused, or the folder is listed already, as in a loop of links."""
    without: int = 0
    """Folders that were not looked into because they were named as such, or hold pictures of a prediction."""


_OVERLAYS, _FIRST_ROWS = "overlays", "people/00000.parquet"
"""What a prediction writes into one folder: the photos with the meshes over them, and the rows."""


def walk_folder(
    root: Path, *, recursive: bool = True, links: Links = "follow", without: Iterable[Path] = ()
) -> FolderWalk:
    """Lists a folder, first without its links to folders, then the folders that these lead to, so that a file keeps its
    own name whatever else leads to it. Of several ways by links to the same folder the first is taken.

    Args:
        root: The folder.
        recursive: Look into the folders in it.
        links: Whether links to folders are followed.
        without: Folders below the root that are not looked into, whatever leads to them; they need not exist. Nor are
            pictures that a prediction drew.
    """
    walk, seen, excluded = FolderWalk(), set(), _identities(without)
    folders, linked, has_own = [""], deque[str](), False
    while folders or linked:
        is_link = not folders
        folder = linked.popleft() if is_link else folders.pop()
        has_own |= is_link  # The folder's own folders are listed; from here on one may turn up again.
        where = os.path.join(root, folder) if folder else str(root)
        try:
            state = os.stat(where)
            if has_own and (state.st_dev, state.st_ino) in seen:
                walk.left_out += is_link
                continue
            if folder and ((state.st_dev, state.st_ino) in excluded or _is_of_a_prediction(where)):
                walk.without += 1
                continue
            seen.add((state.st_dev, state.st_ino))
            with os.scandir(where) as found:
                entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            detail = f"the folder {_text(where)} cannot be listed ({error.strerror}); its photos are not known."
            walk.problems.append((_text(folder or "."), ImageError(ErrorCode.LISTING_INCOMPLETE, detail)))
            continue
        walk.followed += is_link
        below: list[str] = []
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not _may_be_folder(entry):
                walk.files.append(name)
            elif recursive and not entry.is_symlink():
                below.append(name)
            elif recursive and links == "follow":
                linked.append(name)
            elif recursive:
                walk.left_out += 1
        folders += reversed(below)
    return walk


def _identities(folders: Iterable[Path]) -> set[tuple[int, int]]:
    found = set()
    for folder in folders:
        with suppress(OSError):
            state = os.stat(folder)
            found.add((state.st_dev, state.st_ino))
    return found


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a name is a folder, or leads where nothing may be looked at; a link to itself is a file that fails."""
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno != errno.ELOOP


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_of_a_prediction(folder: str) -> bool:
    parent, name = os.path.split(folder)
    return name == _OVERLAYS and os.path.exists(os.path.join(parent, _FIRST_ROWS))
