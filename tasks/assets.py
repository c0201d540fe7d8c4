"""Which of the files of ``model.estimators.asset_table`` are there, and what to do next about the first that is not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.estimators.asset_table import ASSETS, BY_ID, PAPER_BACKENDS, AssetFile, needed_ids
from model.estimators.checkpoints import file_sha256

WEB_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml")
"""What a saved sign-in or warning page starts with, instead of the file."""
LFS_START = b"version https://git-lfs"


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetRow:
    """What was found of one file."""

    asset: AssetFile
    """What the table says."""
    path: Path
    """Where it is, or where it has to go."""
    found: bool
    """Whether there is a file."""
    needed: bool
    """Whether the recipe cannot do without it as things stand."""
    num_bytes: int | None = None
    """Size, None when absent."""
    sha256: str | None = None
    """Hash, None when absent or not asked for."""
    problem: str | None = None
    """Why the file cannot be used, or that a needed one is absent."""
    note: str | None = None
    """What a person may want to know: that it is not the published version."""


def inspect_assets(
    root: str | Path,
    backends: Mapping[str, str] = PAPER_BACKENDS,
    *,
    licensed_body: bool = True,
    hash_files: bool = True,
) -> list[AssetRow]:
    """Looks at every file of the table; reads nothing but names, sizes, beginnings and hashes.

    Official files of a body whose converted file is there are not needed.

    Args:
        root: Folder that the places of the table are below; need not exist.
        backends: Backend of each part.
        licensed_body: Whether labels are of SMPL-X and FLAME.
        hash_files: Whether to hash what is there; a few seconds a gigabyte.

    Returns:
        One row a file, in the order of the table.
    """
    root, needed = Path(root), needed_ids(backends, licensed_body=licensed_body)
    done = {source for asset in ASSETS if _find(root, asset) is not None for source in asset.made_from}
    return [_row(root, asset, asset.id in needed and asset.id not in done, hash_files) for asset in ASSETS]


def blocking(rows: Sequence[AssetRow]) -> list[AssetRow]:
    """Rows that keep the recipe from running: needed files with a problem."""
    return [row for row in rows if row.needed and row.problem is not None]


def next_step(rows: Sequence[AssetRow], root: str | Path) -> str | None:
    """Returns what to do next, one or two sentences, or None when everything needed is there.

    A converted body whose official files are there is a command to run; everything else is a file to fetch.

    Args:
        rows: Of ``inspect_assets``.
        root: The same folder.
    """
    by_id = {row.asset.id: row for row in rows}
    waiting = blocking(rows)
    if not waiting:
        return None
    to_fetch = [row for row in waiting if not row.asset.made_from]
    if to_fetch:
        row = to_fetch[0]
        return (
            f"{row.asset.id} ({row.asset.holds}): {row.problem}. Get {Path(row.asset.place).name} from "
            f"{row.asset.source} and put it at {row.path}. Licence: {row.asset.licence}."
        )
    return f"All official files are there; convert them: {convert_command(waiting, by_id, root)}"


def convert_command(waiting: Sequence[AssetRow], by_id: Mapping[str, AssetRow], root: str | Path) -> str:
    """Returns the command that makes the converted files of ``waiting`` out of what is there."""
    sources = [by_id[source] for row in waiting for source in row.asset.made_from]
    usable = [row for row in sources if row.found and row.problem is None]
    flags = [text for row in usable for text in (row.asset.flag, str(row.path))]
    return shlex.join(["python", "-m", "model.body.convert", "--out", str(root), *flags])


def asset_lines(rows: Sequence[AssetRow], root: str | Path) -> list[str]:
    """Returns a table of the rows as text: place, state, what it is for, hash, licence, and where a file comes from.

    Below it, a line for each file that is there but cannot be used or is not the published version.

    Args:
        rows: Of ``inspect_assets``.
        root: The same folder.
    """
    table = [("file", "state", "needed for", "sha256 (published)", "licence", "where it comes from")]
    for row in rows:
        if row.problem is None:
            state = "found" if row.found else "not needed"
        else:
            state = "unusable" if row.found else ("to convert" if row.asset.made_from else "missing")
        purpose = " ".join(text for text in (row.asset.part, row.asset.backend) if text)
        place = os.path.relpath(row.path, root)
        known = f"({row.asset.sha256[:12]})" if row.asset.sha256 else ""
        sha256 = row.sha256[:12] if row.sha256 else known
        table.append((place, state, purpose, sha256, row.asset.licence, row.asset.source))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    lines = ["  ".join([*map(str.ljust, line[:-1], widths), line[-1]]).rstrip() for line in table]
    said = [(row, row.problem if row.found and row.problem else row.note) for row in rows]
    return lines + [f"{os.path.relpath(row.path, root)}: {text}" for row, text in said if text is not None]


def backend_options(rows: Sequence[AssetRow], part: str, backend: str) -> dict[str, str]:
    """Returns the options that give a backend the paths of its files, for ``params.yaml``."""
    return {
        row.asset.option: str(row.path)
        for row in rows
        if row.found and (row.asset.part, row.asset.backend) == (part, backend) and row.asset.option
    }


def _find(root: Path, asset: AssetFile) -> Path | None:
    """The file, under its own or another published name."""
    place = root / asset.place
    for candidate in (place, *(place.with_name(name) for name in asset.other_names)):
        if candidate.is_file():
            return candidate
    return None


def _row(root: Path, asset: AssetFile, needed: bool, hash_files: bool) -> AssetRow:
    path = _find(root, asset)
    if path is None:
        problem = _absence(asset) if needed else None
        return AssetRow(asset=asset, path=root / asset.place, found=False, needed=needed, problem=problem)
    stat = path.stat()
    problem = _content_problem(path, stat)
    sha256 = file_sha256(path, stat.st_size, stat.st_mtime_ns) if hash_files and problem is None else None
    return AssetRow(
        asset=asset,
        path=path,
        found=True,
        needed=needed,
        num_bytes=stat.st_size,
        sha256=sha256,
        problem=problem,
        note=None if problem else _note(asset, stat.st_size, sha256),
    )


def _absence(asset: AssetFile) -> str:
    if not asset.made_from:
        return "missing"
    return "not made yet from " + ", ".join(Path(BY_ID[source].place).name for source in asset.made_from)


def _content_problem(path: Path, stat: os.stat_result) -> str | None:
    """Why a file cannot be what its name says, whatever its format; None when nothing speaks against it."""
    if stat.st_size == 0:
        return "the file is empty: get it again"
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if start.lstrip().lower().startswith(WEB_PAGE_STARTS):
        return "the file is a web page: sign in at the publisher's site, then get it again"
    if start.startswith(LFS_START):
        return "the file is a Git LFS pointer: run `git lfs pull` where it came from"
    return None


def _note(asset: AssetFile, num_bytes: int, sha256: str | None) -> str | None:
    if asset.num_bytes is not None and num_bytes < asset.num_bytes / 2:
        return f"{num_bytes} bytes, the published file has {asset.num_bytes}: cut short, or made for a test?"
    if asset.sha256 is not None and sha256 is not None and not sha256.startswith(asset.sha256):
        return f"not the published version (sha256 {sha256[:12]}, published {asset.sha256[:12]})"
    return None
