"""``pear evaluate``: checkpoints beside each other on the same held-out people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.bar import display
from flows.cli.command_line import command_log, has_server, one_sentence, parse_settings
from flows.cli.stopping import stoppable
from flows.cli.train import Local, TrainSettings


def evaluate(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Trained networks (.safetensors); the others are compared with the first.")
    ],
    params: Annotated[
        Path,
        typer.Option("--params", help="Settings file of a training of either stage, whose held-out people are taken."),
    ] = Path("params.train.yaml"),
    settings: TrainSettings = None,
    local: Local = False,
) -> None:
    """Measure regressors on the same held-out people: their errors, and the differences paired by person.

    With a server up (`pear up`) the run shows in its UI.
    """
    with stoppable("run the same command again; it takes no longer than an evaluation."), one_sentence():
        from tasks.training.comparison import compare, load_settings

        overrides, names = parse_settings(settings, params), [str(path) for path in checkpoints]
        if not local and has_server():
            from flows.evaluate import evaluate as flow

            state = flow(names, params=str(params), overrides=overrides, return_state=True)
            typer.echo(state.message or str(state))
            raise typer.Exit(0 if state.is_completed() else 1)
        with display(command_log()) as shown:
            result = compare(names, *load_settings(params, overrides), shown)
    typer.echo(f"{result.markdown}\n{result.sentence}")
