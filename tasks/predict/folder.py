"""The folder of a prediction's results: what an earlier run left there, and whether it can be written."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from model.renderer.mesh_files import MESH_SUFFIX

PEOPLE, MESHES, OVERLAYS, AVATARS = "people", "meshes", "overlays", "avatars"
RESULTS = {
    PEOPLE: {".parquet"},
    MESHES: set(MESH_SUFFIX.values()),
    OVERLAYS: {".jpg", ".mp4"},
    AVATARS: {".png", ".mp4"},
}
"""Folders below that of the results, and the kinds of files that a run writes there."""


def check_folder(out: Path) -> None:
    """Makes sure that results can be written, without making the folder.

    Raises:
        ValueError: The folder or one above it is a file, or may not be written.
    """
    nearest = next((path for path in (out, *out.absolute().parents) if path.exists()), Path("/"))
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is a file, the results need a folder; name another one with --out")
    if not os.access(nearest, os.W_OK):
        raise ValueError(f"the folder {nearest} may not be written; name another one with --out")


def earlier_results(out: Path, *, overwrite: bool, keep: Collection[Path] = ()) -> list[Path]:
    """All files that an earlier run wrote into the folder.

    Args:
        out: Folder of the results.
        overwrite: Whether they are to be replaced.
        keep: Whole paths that are not to be among them.

    Raises:
        ValueError: There are rows, and they are not to be overwritten.
    """
    folder = out / PEOPLE
    rows = sorted(folder.glob("*.parquet"))
    if not overwrite:
        if rows:
            raise ValueError(
                f"{folder} already holds {len(rows)} file(s) of predictions; name another folder with --out, or say "
                "--overwrite to replace them"
            )
        return []
    others = [
        path
        for name in (MESHES, OVERLAYS, AVATARS)
        for path in sorted((out / name).rglob("*"))
        if path.suffix in RESULTS[name] and path.is_file() and path.resolve() not in keep
    ]
    return rows + others
