"""The ``pear`` command: annotate photos, train, predict people. A mistake ends in one sentence and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from datasets_manifest.paths import placed
from datasets_manifest.source_date import utc_now
from flows.cli.annotate import annotate, failures, inspect, masks, retry, status, verify
from flows.cli.assets import assets
from flows.cli.command_line import one_sentence
from flows.cli.compare import compare
from flows.cli.config import config
from flows.cli.datasets import datasets
from flows.cli.evaluate import evaluate
from flows.cli.export import export
from flows.cli.finetune_renderer import finetune_renderer
from flows.cli.init import init
from flows.cli.lineage import lineage
from flows.cli.predict import predict
from flows.cli.review import audit, review
from flows.cli.server import down, up
from flows.cli.snapshot import snapshot
from flows.cli.stats import stats
from flows.cli.train import train, train_photometric
from flows.cli.view import view
from flows.cli.work import work
from tasks.version import code_version

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pear {code_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What holds for every command."""
    with one_sentence():
        utc_now()  # What the environment says of time is looked at before work is done.


COMMANDS = (
    *(init, annotate, work, retry, status, failures, inspect, verify, snapshot, lineage),
    *(view, review, audit, stats, compare, export, masks),
    *(train, finetune_renderer, train_photometric, evaluate, predict, config, datasets, assets, up, down),
)
"""In the order of ``pear --help``."""


def _with_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command; a path that is none, such as s3://bucket/x, is refused before work is done."""

    @wraps(command)
    def checked(**given: Any) -> None:
        with one_sentence():
            for value in given.values():
                for path in value if isinstance(value, list) else [value]:
                    if isinstance(path, Path):
                        placed(path)
        command(**given)

    return checked


for command in COMMANDS:
    app.command()(_with_paths(command))


if __name__ == "__main__":
    app()
