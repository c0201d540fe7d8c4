"""``pear work``: one of many workers that share the shards of a workspace, on as many machines as there are."""

from __future__ import annotations

from pathlib import Path

import typer

from flows.cli.bar import display
from flows.cli.command_line import Params, Settings, command_log, one_sentence
from flows.cli.given_settings import DataSets, Every, Fps, OtherId, Root, given_settings
from flows.cli.stopping import stoppable


def work(
    datasets: DataSets = None,
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    root: Root = None,
    every: Every = None,
    fps: Fps = None,
    other_id: OtherId = None,
) -> None:
    """Do shards that are not done and that no other worker is at, until all are done and published.

    Start it as often as there are cores or GPUs, on any machine that sees the folders, with the same settings.
    """
    with stoppable("what is finished is kept, and its shard is free for other workers."), one_sentence():
        from flows.run.pull import work as pull
        from tasks.annotate.settings import Origin

        origin = Origin.of(params, given_settings(datasets, params, settings, root, other_id, every, fps))
        log = command_log()
        with display(log) as shown:
            done = pull(origin.config(), log, shown, origin=origin)
        typer.echo(done.sentence)
    raise typer.Exit(0 if done.is_good else 1)
