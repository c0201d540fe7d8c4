"""``pear assets``: which licensed files a recipe needs, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import Settings, one_sentence, parse_settings


def assets(
    params: Annotated[
        Path | None, typer.Option("--params", help="Settings; default: params.paper.yaml, or the paper's recipe.")
    ] = None,
    settings: Settings = None,
    root: Annotated[Path | None, typer.Option(help="Folder of files without a path in the settings.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Fail, with the next step, while a file is missing.")] = False,
    hashes: Annotated[bool, typer.Option(help="Hash what is there: some seconds a gigabyte.")] = True,
) -> None:
    """List every file that a recipe needs: there or not, where it goes, its licence, who gives it out."""
    with one_sentence():
        from tasks.annotate.assets import asset_lines, count_sentence, inspect_settings, next_step, recipe

        config, root = recipe(params, parse_settings(settings, params), root, Path.cwd())
        rows = inspect_settings(config, root, hash_files=hashes)
        for line in asset_lines(rows, root):
            typer.echo(line)
        typer.echo(count_sentence(rows))
        step = next_step(rows, root)
        if step is not None:
            typer.echo(f"next: {step}")
            if check:
                raise typer.Exit(1)
