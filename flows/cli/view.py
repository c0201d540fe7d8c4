"""``pear view``: labels or predictions in the browser."""

from __future__ import annotations

import logging
import socket
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import Params, Settings, command_log, one_sentence, parse_settings, split_pairs
from flows.cli.review import Reviews, logged_in
from flows.cli.stopping import stoppable

_PARAMS = Path("params.yaml")
"""Settings that may be absent: labels and predictions are looked at without any."""


def view(
    labels: Annotated[
        Path | None, typer.Argument(help="Folder of labels or predictions; default: the labels of the settings.")
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Show whom the labels miss and what is wrong, where data sets know better.")
    ] = False,
    reviews: Reviews = Path("reviews"),
    reviewer: Annotated[str | None, typer.Option(help="Who judges; default: the name you are logged in with.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on; one that others reach needs --token.")] = "127.0.0.1",
    root: Annotated[
        list[str] | None, typer.Option(help="<data set>=<folder of its photos>, where they are not as planned.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nothing can be judged or corrected.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    token: Annotated[str | None, typer.Option(help="What a browser has to show; part of the printed address.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Other address of the page, as of a forwarded port: http://localhost:9000.")
    ] = None,
    params: Params = _PARAMS,
    settings: Settings = None,
) -> None:
    """Look at all people in the browser: a table, each person's photo and mesh; accept, reject or flag by keys."""
    with stoppable("run the same command again to look on."), one_sentence():
        from datasets_manifest.paths import placed
        from tasks.annotate.settings import AnnotateConfig, Origin
        from tasks.view.security import allowed_origins, page_address
        from tasks.view.state import Opened, View

        command_log()
        try:
            import uvicorn

            from tasks.view.app import view_app
        except ImportError as error:
            raise ValueError(f"pear view needs more packages ({error.name}): pip install -e '.[view]'") from error
        is_stated = params != _PARAMS or settings
        origin_of = Origin.of(params, parse_settings(settings, params)) if is_stated or params.is_file() else None
        config = AnnotateConfig() if origin_of is None else origin_of.config()
        folder = placed(labels) if labels is not None else placed(config.output.labels)
        if not folder.is_dir():
            raise ValueError(
                f"there is no folder {folder}; annotate first, or name the folder of labels or predictions"
            )
        opened = Opened(
            labels=folder,
            config=config,
            origin=origin_of,
            errors=errors,
            reviews=placed(reviews),
            reviewer=reviewer or ("" if read_only else logged_in()),
            read_only=read_only,
            roots={name: placed(path) for name, path in split_pairs(root, "--root", "my_photos=photos").items()},
        )
        with _listening(host, port) as listening:
            port = listening.getsockname()[1]
            app = view_app(View(opened), origins=allowed_origins(host, port, origin or [], token), token=token)
            address = page_address(host, port, origin or [], token)
            typer.echo(f"{folder}: {address}   (Ctrl-C ends it)")
            if open_page:
                threading.Timer(1.0, webbrowser.open, [address]).start()
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
            logging.getLogger("uvicorn.error").addFilter(_is_of_interest)
            server.run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """The door of the server.

    Raises:
        ValueError: Somebody else has it, or the machine has no such address.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"port {port} of {host} cannot be had ({reason}); say --port 0 for any that is free"
        ) from error


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Not what Ctrl-C breaks off: pictures that were under way."""
    import asyncio  # No other command needs it.

    is_cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not is_cancelled and not str(record.msg).startswith("Cancel ")
