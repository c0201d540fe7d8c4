"""``pear assets``: which licensed files a recipe needs, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datasets_manifest.paths import placed
from datasets_manifest.settings import read_sections
from flows.cli.command_line import Settings, one_sentence, parse_settings

if TYPE_CHECKING:
    from tasks.annotate.assets import AssetRow


def assets(
    params: Annotated[
        Path | None,
        typer.Option("--params", help="Settings, or those of a training; default: the paper's."),
    ] = None,
    settings: Settings = None,
    root: Annotated[Path | None, typer.Option(help="Folder of files without a path in the settings.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail, with the next step, while one is missing or wrong.")
    ] = False,
    hashes: Annotated[bool, typer.Option(help="Hash what is there: some seconds a gigabyte.")] = True,
) -> None:
    """List every file that a recipe needs: there or not, where it goes, its licence, who gives it out."""
    with one_sentence():
        from tasks.annotate.assets import asset_lines, count_sentence, inspect_settings, next_step, recipe

        overrides = parse_settings(settings, params)
        if params is not None and set(read_sections(params)) == {"train"}:
            rows, root = _of_training(params, overrides, root, hashes)
        else:
            config, root = recipe(params, overrides, root, Path.cwd())
            rows = inspect_settings(config, root, hash_files=hashes)
        for line in asset_lines(rows, root):
            typer.echo(line)
        typer.echo(count_sentence(rows))
        step = next_step(rows, root)
        if step is not None:
            typer.echo(f"next: {step}")
            if check:
                raise typer.Exit(1)


def _of_training(
    params: Path, overrides: dict[str, Any], root: Path | None, hashes: bool
) -> tuple[list[AssetRow], Path]:
    """The files that a training reads, and the folder of the bodies."""
    from model.licensed_files.networks import TRAINING
    from tasks.annotate.asset_paths import DEFAULT_ROOT
    from tasks.annotate.assets import inspect_assets
    from tasks.training.regressor.settings import load_train_config

    config = load_train_config(params, overrides)
    body = config.body_model.path
    root = placed(root or body or placed(params).absolute().parent / DEFAULT_ROOT)
    given = {asset.id: getattr(config, asset.option) for asset in TRAINING}
    paths = {id: None if value in (None, "labels", "neutral") else Path(value) for id, value in given.items()}
    return inspect_assets(root, {}, licensed_body=body is not None, hash_files=hashes, paths=paths), root
