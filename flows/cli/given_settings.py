"""Which data sets a command annotates, from where and which frames of them, and with which settings: as it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.command_line import parse_settings, split_pairs

DataSets = Annotated[
    list[str] | None, typer.Argument(help="Manifests, or photos and videos by path; default: the settings'.")
]
Root = Annotated[list[str] | None, typer.Option(help="Folder of a data set: <id>=<folder>.")]
Every = Annotated[int | None, typer.Option(help="frames.every: of videos named by their path every n-th frame.")]
Fps = Annotated[float | None, typer.Option(help="frames.fps: of these at most so many frames a second; 0: all.")]
OtherId = Annotated[str | None, typer.Option("--id", help="Annotate the data set under this id.")]


def given_settings(
    datasets: Sequence[str] | None,
    params: Path,
    settings: list[str] | None,
    root: list[str] | None,
    other_id: str | None,
    every: int | None,
    fps: float | None,
) -> dict[str, Any]:
    """What a command line replaces in the settings file.

    Raises:
        ValueError: It contradicts itself, or names a data set that the run does not have.
    """
    overrides = parse_settings(settings, params)
    roots = split_pairs(root, "--root", "my_photos=photos")
    overrides |= {f"roots.{name}": folder for name, folder in roots.items()}
    if datasets:
        overrides["datasets"] = list(datasets)
    overrides |= _frames(params, overrides, {"frames.every": every, "frames.fps": fps})
    if other_id is not None:
        overrides["ids"] = {_only(datasets): other_id}
    if roots:
        _check_ids(list(roots), params, overrides)
    return overrides


def _frames(params: Path, overrides: dict[str, Any], chosen: dict[str, float | None]) -> dict[str, Any]:
    """Settings for the frames of videos, which a manifest has for itself."""
    from datasets_manifest.named_sources import is_manifest
    from tasks.annotate.settings import load_config

    stated = {name: value for name, value in chosen.items() if value is not None}
    is_stated = bool(stated) or any(name.partition(".")[0] == "frames" for name in overrides)
    sources = load_config(params, overrides).datasets if is_stated else ()
    if manifests := [source for source in sources if is_manifest(source)]:
        raise ValueError(
            "--every, --fps and --set frames are for videos named by their path; which frames "
            f"{', '.join(manifests)} has, the manifest says itself (layout.frames)"
        )
    return stated


def _check_ids(named: list[str], params: Path, overrides: dict[str, Any]) -> None:
    """Refuses the root of a data set that the run does not have: with a slip in the id it would go unused."""
    from datasets_manifest.manifest import load_manifest
    from tasks.annotate.settings import load_config

    ids = [load_manifest(source).id for source in load_config(params, overrides).datasets]
    for name in named:
        if name not in ids:
            raise ValueError(f"--root {name}: this run has no data set of that id; it has {', '.join(ids)}")


def _only(datasets: Sequence[str] | None) -> str:
    """The id of the one data set that is named."""
    from datasets_manifest.manifest import load_manifest

    if datasets is None or len(datasets) != 1:
        raise ValueError(f"--id is the id of one data set; name it, got {', '.join(datasets or []) or 'none'}")
    return load_manifest(datasets[0]).id
