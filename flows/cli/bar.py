"""A bar on a terminal for what takes long; elsewhere a line now and then."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.display import Display, Lines, time_left


@contextmanager
def display(log: logging.Logger) -> Iterator[Display]:
    """Shows how far a command is: a bar if standard error is a terminal, else lines of the log."""
    if not sys.stderr.isatty():
        yield Lines(log)
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


class Bar:
    """A bar below the lines of the log, which is gone once the work is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
        )
        # While it is shown, what is written to sys.stderr goes above it.
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
        self._task = self._progress.add_task("", told="")

    def show(self, what: str, done: int, total: int, note: str, left_s: float | None) -> None:
        """See ``Display``."""
        told = ", ".join(filter(None, [note, time_left(left_s)]))
        self._progress.update(self._task, description=what, completed=done, total=total, told=told)
        if done < total:
            self._progress.start()
        else:
            self.close()

    def close(self) -> None:
        """Takes the bar away."""
        self._progress.stop()
