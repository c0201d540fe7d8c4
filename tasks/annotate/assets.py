"""Which of the files of ``model.licensed_files`` are there, and what to do next about the first that is not."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datasets_manifest.paths import placed
from model.licensed_files.asset_file import SHORT_LICENCES, AssetFile
from model.licensed_files.bodies import BODIES
from model.licensed_files.networks import WEIGHTS, backend_files
from model.licensed_files.table import ASSETS, BY_ID, PAPER_BACKENDS, needed_ids
from model.weights import sha256_of
from tasks.annotate.asset_paths import DEFAULT_ROOT
from tasks.annotate.settings import AnnotateConfig, build_config, load_config

WEB_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml")
"""What a saved sign-in or warning page starts with, instead of the file."""
PAPER_PARAMS = "params.paper.yaml"
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
    useful: bool = False
    """Whether it is one that the recipe may do without."""
    num_bytes: int | None = None
    """Size, None when absent."""
    sha256: str | None = None
    """Hash, None when absent or not asked for."""
    is_wrong: bool = False
    """Whether the file is another than the published one whose place and name it has."""
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
    paths: Mapping[str, Path | None] = MappingProxyType({}),
) -> list[AssetRow]:
    """Looks at every file of the table; reads nothing but names, sizes, beginnings and hashes.

    Official files of a body whose converted file is there are not needed.

    Args:
        root: Folder that the places of the table are below; need not exist.
        backends: Backend of each part.
        licensed_body: Whether labels are of SMPL-X and FLAME.
        hash_files: Whether to hash what is there; a few seconds a gigabyte.
        paths: Id of a file to its path, where the settings name one; None for a file that is not to be read.

    Returns:
        One row a file, in the order of the table.
    """
    root = Path(root)
    done = {source for asset in BODIES if asset.found_below(root) is not None for source in asset.made_from}
    unread = {id for id, path in paths.items() if path is None}
    needed = (needed_ids(backends, licensed_body=licensed_body) | set(paths)) - done - unread
    useful = {asset.id for asset in ASSETS if asset.optional and _is_of(asset, backends, licensed_body)} - done
    return [
        _row(
            root,
            asset,
            paths.get(asset.id) or asset.found_below(root),
            asset.id in needed,
            asset.id in useful,
            hash_files,
        )
        for asset in ASSETS
    ]


def inspect_settings(config: AnnotateConfig, root: Path, *, hash_files: bool = True) -> list[AssetRow]:
    """Looks at the files as the settings name them.

    Args:
        config: All settings, the paths of every backend's files among the options.
        root: Folder of the bodies, and of what no backend of these settings reads.
        hash_files: As for ``inspect_assets``.
    """
    backends = {part: getattr(config, part).backend for part in PAPER_BACKENDS}
    paths: dict[str, Path | None] = {}
    for part, backend in backends.items():
        options = getattr(config, part).options
        chosen = {asset.id: options.get(asset.option) for asset in backend_files(part, backend, options)}
        others = {asset.id for asset in WEIGHTS if (asset.part, asset.backend) == (part, backend)} - set(chosen)
        paths |= {id: Path(path) if path else None for id, path in chosen.items()} | dict.fromkeys(others)
    licensed_body = config.body_model.path is not None
    return inspect_assets(root, backends, licensed_body=licensed_body, hash_files=hash_files, paths=paths)


def recipe(
    params: Path | None, overrides: Mapping[str, Any], root: Path | None, folder: Path
) -> tuple[AnnotateConfig, Path]:
    """Returns the settings whose files are asked for, and the folder of the files.

    Args:
        params: Settings file; None: ``params.paper.yaml`` of the folder or, without one, the paper's backends.
        overrides: As for ``tasks.annotate.settings.load_config``.
        root: Folder of the files that the settings name no path of; None: the one that the settings mean.
        folder: The current one.

    Raises:
        ValueError: The settings make no sense.
    """
    params = placed(params or folder / PAPER_PARAMS)
    root = None if root is None else placed(root)
    if params.is_file() or params != folder / PAPER_PARAMS:
        config, home = load_config(params, overrides, asset_root=root), params.absolute().parent
    else:
        values = {part: {"backend": backend} for part, backend in PAPER_BACKENDS.items()}
        paper = {**values, "body_model": {"path": DEFAULT_ROOT, "fusion": "paper"}}
        config, home = build_config(paper, folder, "the paper's recipe", overrides, asset_root=root), folder
    return config, root or Path(config.body_model.path or home / DEFAULT_ROOT)


def _is_of(asset: AssetFile, backends: Mapping[str, str], licensed_body: bool) -> bool:
    if asset.part == "body_model":
        return licensed_body
    return backends.get(asset.part) == asset.backend


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
        return f"{row.asset.id} ({row.asset.holds}): {row.problem}. {row.asset.step(row.path)}"
    return f"All official files are there; convert them: {convert_command(waiting, by_id, root)}"


def convert_command(waiting: Sequence[AssetRow], by_id: Mapping[str, AssetRow], root: str | Path) -> str:
    """Returns the command that makes the converted files of ``waiting`` out of what is there."""
    sources = [by_id[source] for row in waiting for source in row.asset.made_from]
    usable = [row for row in sources if row.found and row.problem is None]
    flags = [text for row in usable for text in (row.asset.flag, str(row.path))]
    return shlex.join(["python", "-m", "model.body.convert", "--out", str(root), *flags])


def count_sentence(rows: Sequence[AssetRow]) -> str:
    """Returns how many needed files cannot be read, by what there is to do about them."""
    states = [_state(row) for row in blocking(rows)]
    told = {"missing": "{} missing", "wrong": "{} wrong", "unusable": "{} unusable", "to convert": "{} to convert"}
    counts = [text.format(states.count(state)) for state, text in told.items() if state in states]
    return f"needed files: {', '.join(counts)}" if counts else "every needed file is there"


def asset_lines(rows: Sequence[AssetRow], root: str | Path) -> list[str]:
    """Returns a table of the rows as text: place, state, what it is for, hash, licence.

    Below it stand where each file comes from, what the licences are in full, and a line for each file that is there but
    cannot be used or is not the published version.

    Args:
        rows: Of ``inspect_assets``.
        root: The same folder.
    """
    table = [("file", "state", "needed for", "sha256 (published)", "licence", "id")]
    for row in rows:
        purpose = " ".join(text for text in (row.asset.part, row.asset.backend) if text)
        known = f"({row.asset.sha256[:12]})" if row.asset.sha256 else ""
        sha256 = row.sha256[:12] if row.sha256 else known
        table.append((_shown(row, root), _state(row), purpose, sha256, _short_licence(row.asset), row.asset.id))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    lines = ["  ".join([*map(str.ljust, line[:-1], widths), line[-1]]).rstrip() for line in table]
    sources = [f"  {row.asset.id}: {row.asset.source}" for row in rows]
    licences = [f"  {short}: {long}" for long, short in SHORT_LICENCES.items()]
    said = [(row, row.problem if row.found and row.problem else row.note) for row in rows]
    notes = [f"{_shown(row, root)}: {text}" for row, text in said if text is not None]
    return [*lines, "where they come from:", *sources, "licences:", *licences, *notes]


def _state(row: AssetRow) -> str:
    if row.problem is not None:
        if row.is_wrong:
            return "wrong"
        return "unusable" if row.found else ("to convert" if row.asset.made_from else "missing")
    if row.found:
        return "found"
    return "optional" if row.useful else "not needed"


def _short_licence(asset: AssetFile) -> str:
    return SHORT_LICENCES.get(asset.licence, asset.licence)


def _shown(row: AssetRow, root: str | Path) -> str:
    """The path below the root, or the whole of one that lies elsewhere."""
    path, root = row.path.absolute(), Path(root).absolute()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _row(root: Path, asset: AssetFile, path: Path | None, needed: bool, useful: bool, hash_files: bool) -> AssetRow:
    if path is None or not path.is_file():
        problem = _absence(asset) if needed else None
        place = path or root / asset.place
        return AssetRow(asset=asset, path=place, found=False, needed=needed, useful=useful, problem=problem)
    stat = path.stat()
    problem = _content_problem(path, stat)
    sha256 = sha256_of(path) if hash_files and problem is None else None
    other = asset.other_version(stat.st_size, sha256) if problem is None else None
    is_wrong = other is not None and asset.is_place(path)
    return AssetRow(
        asset=asset,
        path=path,
        found=True,
        needed=needed,
        useful=useful,
        num_bytes=stat.st_size,
        sha256=sha256,
        is_wrong=is_wrong,
        problem=other if is_wrong else problem,
        note=None if is_wrong else other,
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
