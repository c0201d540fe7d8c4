"""``pear datasets``: which data sets there are, what they are for, and how to get those that are not here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import one_sentence


def datasets(
    names: Annotated[
        list[str] | None, typer.Argument(help="Ids, or paths of manifests; with all steps. Without: every one.")
    ] = None,
    params: Annotated[
        Path, typer.Option("--params", help="Settings whose roots say where data sets lie; it need not be there.")
    ] = Path("params.yaml"),
    count: Annotated[bool, typer.Option(help="Count photos and people of those that are here.")] = True,
    photos: Annotated[
        bool, typer.Option("--photos", help="Decode the photos too, and say which are empty, cut short or damaged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """List data sets: purpose, licence, whether they are here, their counts, and the next step."""
    with one_sentence():
        from datasets_manifest.catalogue import catalogue, catalogue_json, catalogue_lines, catalogue_sentence
        from datasets_manifest.paths import placed
        from tasks.annotate.settings import load_config

        path = placed(params).absolute()
        roots = load_config(path).roots if path.is_file() else {}
        found = catalogue(names or (), folder=path.parent, roots=roots, count=count or photos, photos=photos)
        if as_json:
            typer.echo(json.dumps(catalogue_json(found), indent=2))
            return
        for line in catalogue_lines(found, whole=bool(names)):
            typer.echo(line)
        typer.echo(catalogue_sentence(found))
