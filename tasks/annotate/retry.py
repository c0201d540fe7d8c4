"""Do finished shards again: their files go aside, so that the next run finds nothing of them."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.annotate.workspace import STEPS, Workspace


def set_aside(workspace: Workspace, paths: Iterable[Path]) -> list[Path]:
    """Moves files of the workspace below ``work/stale/<time>``; nothing is ever deleted.

    Returns:
        The new places.
    """
    folder = _new_folder(workspace.work / "stale")
    moved = []
    for path in paths:
        base = workspace.labels.parent if path.is_relative_to(workspace.labels) else workspace.work
        target = folder / path.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        moved.append(target)
    return moved


def _new_folder(parent: Path) -> Path:
    """A folder of the present time that no other call has."""
    stamp = time.strftime("%Y%m%dT%H%M%S")
    for number in itertools.count():
        folder = parent / (f"{stamp}-{number}" if number else stamp)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")


def set_shards_aside(workspace: Workspace, shards: Sequence[tuple[str, int]]) -> list[Path]:
    """Sets the part files and labels of some shards aside.

    Args:
        workspace: Where files are.
        shards: Data set and number of each.

    Raises:
        ValueError: A shard was never planned here.
    """
    roots = [workspace.labels, *(workspace.work / "parts" / step for step in STEPS)]
    found: list[Path] = []
    for dataset, index in shards:
        name = f"{index:05d}.parquet"
        if not any((workspace.work / "plan" / dataset).glob(f"*/{name}")):
            raise ValueError(f"shard {dataset}/{index:05d} was never planned in {workspace.work}; annotate it first")
        found += [path for root in roots for path in sorted((root / dataset).glob(f"*/{name}"))]
    return set_aside(workspace, found)
