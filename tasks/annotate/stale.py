"""Files that newer ones replace, or that are no longer planned: kept below ``work/stale``, nothing is ever deleted."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from datasets_manifest.files import write_bytes
from datasets_manifest.shards.footer import ForeignFileError, ShardError
from datasets_manifest.shards.joined import joined_range
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.stores import Place, below, delete, get, is_file, place_of
from tasks.annotate.workspace import STEPS, Group, ShardRef, Workspace, numbered_files
from tasks.wording import counted


def stale_folder(workspace: Workspace) -> Path:
    """Makes a folder of the present time that no other call has."""
    stamp = time.strftime("%Y%m%dT%H%M%S")
    for number in itertools.count():
        folder = workspace.work / "stale" / (f"{stamp}-{number}" if number else stamp)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")


def set_aside(workspace: Workspace, paths: Iterable[Place]) -> Path:
    """Moves files of the workspace into a new folder, which is returned."""
    folder = stale_folder(workspace)
    for path in paths:
        target = _place_in(folder, path, workspace)
        if not isinstance(path, Path):
            write_bytes(target, get(path))
            delete(path)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    return folder


def set_shards_aside(workspace: Workspace, group: Group, but: Collection[ShardRef] = ()) -> str:
    """Sets parts and labels of the shards of a split aside, and their plans where none stays.

    Args:
        workspace: Where they are.
        group: Data set and split.
        but: Shards that stay.

    Returns:
        How many there were and where they are now, for a log; empty if there were none.
    """
    roots = [workspace.labels, *(workspace.step_folder(step) for step in STEPS)]
    kept = {shard.index for shard in but if shard.group == group}
    found = [found for root in roots for found in numbered_files(root.joinpath(*group))]
    paths = {place_of(file.path): index for _, index, file in found if index not in kept}
    stale = {path: index for path, index in paths.items() if not is_foreign(path)}
    if not kept:  # Else the next publication sees which files of several shards are still right.
        for path in shard_files(workspace.labels.joinpath(*group)):
            if (numbers := joined_range(path)) is not None and not is_foreign(path):
                stale[path] = numbers[0]
    plans = [] if but else sorted(workspace.plan_folder(group).glob("*.parquet"))
    if not stale and not plans:
        return ""
    shards = set(stale.values())
    return f"{counted(len(shards), 'shard')} set aside in {set_aside(workspace, [*plans, *stale])}"


def is_foreign(path: Place) -> bool:
    """Whether a Parquet file is there that this project did not write, whatever it is called."""
    try:
        read_footer(path)
    except ForeignFileError:
        return True
    except (ShardError, FileNotFoundError):
        return False
    return False


def keep(workspace: Workspace, path: Place, folder: Path) -> None:
    """Gives a file, if it is there, a second name in a folder of ``stale_folder``: what then replaces it loses nothing.

    The file that is kept first stays, so that a step that is tried again does not put its own result there.
    """
    target = _place_in(folder, path, workspace)
    if target.exists() or not is_file(path):
        return
    if not isinstance(path, Path):
        write_bytes(target, get(path))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # Labels and work folder may lie on different disks, and not every disk knows links.
        shutil.copy2(path, target)


def _place_in(folder: Path, path: Place, workspace: Workspace) -> Path:
    """The folder's own ``labels/...``, ``parts/...`` or ``plan/...``."""
    for name, root in (("labels", workspace.labels), ("parts", workspace.part_folder)):
        if (inside := below(root, path)) != str(path):
            return folder / (root.name or name) / inside
    return folder / below(workspace.work, path)
