"""``pear finetune-renderer``: what draws people, from rendered people and from labels with photos and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.bar import display
from flows.cli.command_line import command_log, has_server, one_sentence, parse_settings
from flows.cli.stopping import stoppable
from flows.cli.train import Local, train_here, train_with_server


def finetune_renderer(
    params: Annotated[Path, typer.Option("--params", help="Settings file with a section `renderer`.")] = Path(
        "params.renderer.yaml"
    ),
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Setting to replace, for example rasteriser=native.")
    ] = None,
    local: Local = False,
) -> None:
    """Learn what draws people; a renderer that was learnt from the same stays.

    With a server up (`pear up`) the run shows in its UI.
    """
    with stoppable("run the same command again; what takes long goes on where it was."), one_sentence():
        overrides = parse_settings(settings, params)
        if not local and has_server():
            from flows.renderer import finetune

            raise typer.Exit(0 if train_with_server(finetune, params, overrides) else 1)
        from tasks.training.guava.settings import is_guava, load_guava_config

        if is_guava(params, overrides):
            from tasks.training.guava.request import prepare

            raise typer.Exit(0 if train_here(lambda shown: prepare(load_guava_config(params, overrides), shown)) else 1)
        from tasks.training.renderer.run import finetune_renderer as finetune_here
        from tasks.training.renderer.settings import load_renderer_config

        with display(command_log()) as shown:
            result = finetune_here(load_renderer_config(params, overrides), shown)
    typer.echo(result.sentence)
