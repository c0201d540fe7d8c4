"""``pear work``: one of many workers that share the shards of a workspace, on as many machines as there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.annotate import given_settings
from flows.cli.bar import display
from flows.cli.command_line import Params, Settings, command_log, one_sentence
from flows.cli.stopping import stoppable


def work(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Manifests, or photos and videos by path; default: the settings'.")
    ] = None,
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    root: Annotated[list[str] | None, typer.Option(help="Folder of a data set: <id>=<folder>.")] = None,
    every: Annotated[
        int | None, typer.Option(help="frames.every: of videos named by their path every n-th frame.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="frames.fps: of these at most so many frames a second; 0: all.")
    ] = None,
    other_id: Annotated[str | None, typer.Option("--id", help="Annotate the data set under this id.")] = None,
) -> None:
    """Do shards that are not done and that no other worker is at, until all are done and published.

    Start it as often as there are cores or GPUs, on any machine that sees the folders, with the same settings.
    """
    with stoppable("what is finished is kept, and its shard is free for other workers."), one_sentence():
        from flows.run.pull import work as pull
        from tasks.annotate.settings import Origin

        frames = {"frames.every": every, "frames.fps": fps}
        origin = Origin.of(params, given_settings(datasets, params, settings, root, other_id, frames))
        log = command_log()
        with display(log) as shown:
            done = pull(origin.config(), log, shown, origin=origin)
        typer.echo(done.sentence)
    raise typer.Exit(0 if done.is_good else 1)
