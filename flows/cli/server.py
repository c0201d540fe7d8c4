"""``pear up`` and ``pear down``: the Prefect server of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import one_sentence


def up(
    port: Annotated[int | None, typer.Option(help="Port of the server; 0 takes a free one.")] = None,
    external: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that runs already: only a worker is started, for it.")
    ] = None,
) -> None:
    """Start Prefect server, work pool, deployment and worker for this folder."""
    from flows.server import local_server as server

    with one_sentence():
        try:
            server.up(Path.cwd(), port=port, external_url=external, say=typer.echo)
        except server.ServerError as error:
            raise ValueError(str(error)) from error


def down() -> None:
    """End what `pear up` started, and nothing else."""
    from flows.server import local_server as server

    with one_sentence():
        server.down(Path.cwd(), say=typer.echo)
