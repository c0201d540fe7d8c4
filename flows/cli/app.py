"""The ``pear`` command: annotate photos, train, predict people. A mistake ends in one sentence and exit code 2."""

from __future__ import annotations

import typer

from flows.cli.annotate import annotate, failures, inspect, retry, status, verify
from flows.cli.assets import assets
from flows.cli.config import config
from flows.cli.predict import predict
from flows.cli.server import down, up
from flows.cli.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

COMMANDS = (annotate, retry, status, failures, inspect, verify, train, predict, config, assets, up, down)
"""In the order of ``pear --help``."""

for command in COMMANDS:
    app.command()(command)


if __name__ == "__main__":
    app()
