"""``pear stats``: what labels are like as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import Params, Settings, one_sentence, parse_settings


def stats(
    labels: Annotated[
        str | None,
        typer.Argument(help="Folder or address of labels, of all data sets or of one; default: the settings'."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Other labels, of an earlier run or another data set: what drifted from them.")
    ] = None,
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("reports/stats/index.html"),
    photos: Annotated[
        bool, typer.Option(help="Look for people who occur twice, for which every photo is read.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; no page is written.")] = False,
) -> None:
    """Show what labels are like: poses, shapes, cameras, quality, outliers, people who occur twice, drift.

    Photos and the body model are those of the settings.
    """
    with one_sentence():
        from datasets_manifest.paths import placed
        from datasets_manifest.stores import typed_place
        from tasks.annotate.photos import WorkspacePhotos
        from tasks.annotate.provenance import labelled_body
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace
        from tasks.stats.duplicates import Crops
        from tasks.stats.page import figures, lines, write_page
        from tasks.stats.quantities import PeopleNumbers

        config = load_config(params, parse_settings(settings, params))
        workspace, body = Workspace.of(config.output), labelled_body(config)
        root = workspace.labels if labels is None else typed_place(labels)
        crops = Crops(WorkspacePhotos(workspace, config.run.photo_cache_mb)) if photos else None
        numbers = PeopleNumbers.of(root, body, None if crops is None else crops.add)
        before = None if against is None else PeopleNumbers.of(typed_place(against), body)
        told = figures(numbers, crops, before)
        if as_json:
            typer.echo(json.dumps(told, indent=2))
            return
        write_page(str(root), numbers, told, against or "", out := placed(out))
        for line in lines(told):
            typer.echo(line)
        typer.echo(f"page: {out}")
