"""``pear evaluate``: checkpoints beside each other on held-out people; these, labels and predictions on benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.bar import display
from flows.cli.command_line import command_log, has_server, one_sentence, parse_settings
from flows.cli.stopping import stoppable
from flows.cli.train import Local, TrainSettings

HELD_OUT_PARAMS, BENCHMARK_PARAMS = Path("params.train.yaml"), Path("params.yaml")


def evaluate(
    subjects: Annotated[
        list[Path],
        typer.Argument(
            help="Trained networks (.safetensors); the others are compared with the first. With --on also folders of "
            "labels, and predictions."
        ),
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            help="Data set to measure on in place of held-out people: the id or path of a manifest, or `benchmarks` "
            "for all that are here; may be repeated.",
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            help="Settings file of a training of either stage, whose held-out people are taken; default: "
            "params.train.yaml. With --on: the settings file with roots and body_model; default: params.yaml, if it is "
            "there.",
        ),
    ] = None,
    settings: TrainSettings = None,
    local: Local = False,
) -> None:
    """Measure regressors on the same held-out people, or, with --on, whatever says how people are on benchmarks.

    On held-out people: errors, and the differences paired by person. On benchmarks: the paper's tables with ours beside
    the published numbers, in reports/benchmarks. With a server up (`pear up`) the run shows in its UI.
    """
    with stoppable("run the same command again; it takes no longer than an evaluation."), one_sentence():
        names = [str(path) for path in subjects]
        if on:
            _on_benchmarks(on, names, params or BENCHMARK_PARAMS, settings, local=local)
        else:
            _on_held_out(names, params or HELD_OUT_PARAMS, settings, local=local)


def _on_held_out(names: list[str], params: Path, settings: list[str] | None, *, local: bool) -> None:
    from tasks.training.comparison import compare, load_settings

    overrides = parse_settings(settings, params)
    if not local and has_server():
        from flows.evaluate import evaluate as flow

        _end(flow(names, params=str(params), overrides=overrides, return_state=True))
    with display(command_log()) as shown:
        result = compare(names, *load_settings(params, overrides), shown)
    typer.echo(f"{result.markdown}\n{result.sentence}")


def _on_benchmarks(on: list[str], names: list[str], params: Path, settings: list[str] | None, *, local: bool) -> None:
    from flows.run.benchmarks import benchmark_run
    from tasks.evaluate.on_benchmarks import evaluate_on

    overrides = parse_settings(settings, params if params.is_file() else None)
    if not local and has_server():
        from flows.evaluate import evaluate_benchmarks as flow

        _end(flow(names, on=on, params=str(params), overrides=overrides, return_state=True))
    with display(command_log()) as shown:
        result = evaluate_on(on, names, benchmark_run(params, overrides), shown)
    typer.echo(f"{result.markdown}\n{result.sentence}")


def _end(state: Any) -> None:
    """Ends the command as its flow run ended."""
    typer.echo(state.message or str(state))
    raise typer.Exit(0 if state.is_completed() else 1)
