"""``pear compare``: labels beside other labels of the same photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import Params, Settings, one_sentence, parse_settings


def compare(
    a: Annotated[
        str,
        typer.Argument(help="Folder or address of labels, of all data sets or of one, for example labels/coco."),
    ],
    b: Annotated[str, typer.Argument(help="Other labels of the same photos.")],
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("reports/compare/index.html"),
    worst: Annotated[int, typer.Option(help="How many of the people who are farthest apart are drawn.", min=0)] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; no page is written.")] = False,
) -> None:
    """Compare two sets of labels of the same photos: what moved by part, what agrees, who is farthest apart.

    Photos and the body model are those of the settings.
    """
    with one_sentence():
        from datasets_manifest.paths import placed
        from datasets_manifest.stores import typed_place
        from tasks.annotate.photos import WorkspacePhotos
        from tasks.annotate.provenance import labelled_body
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace
        from tasks.compare.page import compare_labels, lines, write_page

        config = load_config(params, parse_settings(settings, params))
        body, names = labelled_body(config), (a, b)
        differences, origins = compare_labels(typed_place(a), typed_place(b), body, worst)
        if as_json:
            typer.echo(json.dumps({"a": names[0], "b": names[1]} | differences.figures(), indent=2))
            return
        photos = WorkspacePhotos(Workspace.of(config.output), config.run.photo_cache_mb)
        write_page(names, differences, origins, photos, body, out := placed(out))
        for line in lines(names, differences):
            typer.echo(line)
        typer.echo(f"page: {out}")
