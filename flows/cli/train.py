"""``pear train``: the regressor from published labels; ``pear train-photometric``: that regressor on by pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.bar import display
from flows.cli.command_line import command_log, has_server, one_sentence, parse_settings
from flows.cli.stopping import stoppable

if TYPE_CHECKING:
    from tasks.display import Display
    from tasks.training.engine.prepared import PreparedRun

Local = Annotated[bool, typer.Option("--local", help="Run without the server even if one is up.")]
TrainParams = Annotated[Path, typer.Option("--params", help="Settings file with a section `train`.")]
PhotometricParams = Annotated[Path, typer.Option("--params", help="Settings file with a section `train_photometric`.")]
TrainSettings = Annotated[
    list[str] | None, typer.Option("--set", help="Setting to replace, for example optimiser.lr=1e-4.")
]


def train(
    params: TrainParams = Path("params.train.yaml"),
    settings: TrainSettings = None,
    people_only: Annotated[
        bool,
        typer.Option(
            "--people-only",
            help="Render the people, check everything, say what a training would do, stop.",
        ),
    ] = False,
    local: Local = False,
) -> None:
    """Train the regressor; a run that was stopped goes on where it was.

    With a server up (`pear up`) the run shows in its UI.
    """
    with stoppable("run the same command again to go on from the last checkpoint."), one_sentence():
        overrides = parse_settings(settings, params)
        if people_only:
            ok = _look(params, overrides)
        elif not local and has_server():
            from flows.train import train_regressor

            ok = train_with_server(train_regressor, params, overrides)
        else:
            from tasks.training.regressor.request import prepare
            from tasks.training.regressor.settings import load_train_config

            ok = train_here(lambda shown: prepare(load_train_config(params, overrides), shown))
    raise typer.Exit(0 if ok else 1)


def train_photometric(
    params: PhotometricParams = Path("params.photometric.yaml"),
    settings: TrainSettings = None,
    local: Local = False,
) -> None:
    """Train a regressor on by pixels (stage 2); a run that was stopped goes on where it was.

    With a server up (`pear up`) the run shows in its UI.
    """
    with stoppable("run the same command again to go on from the last checkpoint."), one_sentence():
        overrides = parse_settings(settings, params)
        if not local and has_server():
            from flows.train import train_photometric as flow

            ok = train_with_server(flow, params, overrides)
        else:
            from tasks.training.photometric.request import prepare
            from tasks.training.photometric.settings import load_photometric_config

            ok = train_here(lambda shown: prepare(load_photometric_config(params, overrides), shown))
    raise typer.Exit(0 if ok else 1)


def _look(params: Path, overrides: dict[str, Any]) -> bool:
    from tasks.training.regressor.plan import open_plan
    from tasks.training.regressor.settings import load_train_config

    config = load_train_config(params, overrides)
    with display(command_log()) as shown:
        plan = open_plan(config, shown)
    for line in plan.lines():
        typer.echo(line)
    return True


def train_here(prepare: Callable[[Display], PreparedRun]) -> bool:
    """Runs a training in this process and says what came of it, or why it failed; whether it succeeded."""
    from flows.run.torchrun import TrainingFailed
    from flows.run.training import run_training

    try:
        with display(log := command_log()) as shown:
            result = run_training(lambda: prepare(shown), log)
    except TrainingFailed as error:
        typer.echo(f"pear: {error}", err=True)
        return False
    typer.echo(result.sentence)
    return True


def train_with_server(flow: Callable[..., Any], params: Path, overrides: dict[str, Any]) -> bool:
    """Runs a training as a flow run; whether it succeeded."""
    state = flow(params=str(params), overrides=overrides, return_state=True)
    typer.echo(state.message or str(state))
    return state.is_completed()
