"""What the commands of ``pear`` share: settings on the command line, one-sentence errors, the log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from datasets_manifest.settings import parse_yaml

Params = Annotated[Path, typer.Option("--params", help="Settings file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Setting to replace, for example keypoints.backend=annotations.")
]


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns an error that the user can mend into its sentence; anything else keeps its trace."""
    try:
        yield
    except (ValueError, ImportError, FileNotFoundError, PermissionError) as error:
        logging.getLogger("pear").debug("trace of the error below", exc_info=True)
        typer.echo(f"pear: {error}", err=True)
        raise typer.Exit(2) from None


def parse_settings(pairs: list[str] | None, option: str = "--set") -> dict[str, Any]:
    """``["a.b=1"]`` to ``{"a.b": 1}``; values are YAML.

    Raises:
        ValueError: A pair has no ``=``, or its value is not YAML.
    """
    parsed = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{option} {pair!r}: expected <name>=<value>, for example run.workers=4")
        parsed[name.strip()] = parse_yaml(value, f"{option} {pair!r}: the value")
    return parsed


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the time of a line: while a bar is shown, it takes the lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def command_log() -> logging.Logger:
    """The log of a command, on standard error; the steps of ``tasks`` write into it as well."""
    logging.basicConfig(
        format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING, handlers=[_StandardError()]
    )
    log = logging.getLogger("pear")
    # PEAR_DEBUG=1 shows the trace of what ends in one sentence.
    log.setLevel(logging.DEBUG if os.environ.get("PEAR_DEBUG") else logging.INFO)
    logging.getLogger("tasks").setLevel(logging.INFO)
    return log


def has_server() -> bool:
    """Whether a Prefect server is up for this folder or named by the environment."""
    from flows.server.local_server import forget_dead_server

    forget_dead_server(Path.cwd())
    return bool(os.environ.get("PREFECT_API_URL")) or Path("prefect.toml").is_file()
