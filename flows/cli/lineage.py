"""``pear lineage``: from what a file was made."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import one_sentence


def lineage(
    file: Annotated[
        Path, typer.Argument(help="Labels or predictions (a file or folder), a snapshot, a checkpoint, or figures.")
    ],
    within: Annotated[Path, typer.Option(help="Folder below which its origins are looked for.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show from what a file was made, by the hashes that files state, and which of it is here.

    Figures and predictions name their checkpoints, checkpoints their labels and the files that they began from,
    snapshots their labels, labels their photos, estimators and body.
    """
    with one_sentence():
        from datasets_manifest.paths import placed
        from tasks.lineage import lineage_of, lines

        origin = lineage_of(placed(file), placed(within))
        if as_json:
            typer.echo(json.dumps(asdict(origin), indent=2))
            return
        for line in lines(origin):
            typer.echo(line)
