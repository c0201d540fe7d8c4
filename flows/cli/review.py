"""``pear review`` and ``pear audit``: verdicts on labels, and the share that is wrong."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command_line import Params, Settings, one_sentence, parse_settings

Reviews = Annotated[Path, typer.Option(help="Folder of the verdicts.")]


def review(
    sample_id: Annotated[str, typer.Argument(help="As in the labels, for example demo_photos/all/camera.png#0.")],
    verdicts: Annotated[list[str], typer.Argument(help="PART=accept, reject, flag or none; all= for every part.")],
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Who judges; default: the name you are logged in with.")] = None,
    audit: Annotated[str | None, typer.Option(help="The audit it is for, as `pear audit` says.")] = None,
    reviews: Reviews = Path("reviews"),
    params: Params = Path("params.yaml"),
    settings: Settings = None,
) -> None:
    """Accept, reject or flag parts of a label; `pear inspect` draws it."""
    with one_sentence():
        from datasets_manifest.paths import placed
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace
        from tasks.review.verdict import judge, parsed

        labels = Workspace.of(load_config(params, parse_settings(settings, params)).output).labels
        path = judge(
            labels, placed(reviews), sample_id, parsed(verdicts), reviewer=reviewer or logged_in(), note=note,
            audit=audit,
        )  # fmt: skip
        typer.echo(f"{sample_id}: {', '.join(verdicts)}: {path}")


def logged_in() -> str:
    """Name of the user.

    Raises:
        ValueError: There is none.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # Of a user number without a name, as in containers.
        raise ValueError("nobody knows what you are called here: say who judges by --reviewer NAME") from None


def audit(
    part: Annotated[str, typer.Argument(help="body, left_hand, right_hand or face.")],
    datasets: Annotated[list[str] | None, typer.Argument(help="Ids of data sets; default: all.")] = None,
    size: Annotated[int, typer.Option(help="People to judge.")] = 100,
    seed: Annotated[int, typer.Option(help="Another one draws other people.")] = 0,
    among: Annotated[str, typer.Option(help="valid: is a label wrong? refused: was it wrong to refuse one?")] = "valid",
    reviews: Reviews = Path("reviews"),
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Draw people whose labels are to be judged, and tell the share that is wrong, with its exact interval.

    The same numbers draw the same people again; those judged are counted, those left are listed with what to type.
    """
    with one_sentence():
        from datasets_manifest.paths import placed
        from datasets_manifest.reviews.verdicts import read_verdicts
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace
        from tasks.review.audit import Audit, run_audit

        labels = Workspace.of(load_config(params, parse_settings(settings, params)).output).labels
        asked = Audit(part=part, among=among, size=size, seed=seed, datasets=tuple(datasets or ()))  # type: ignore[arg-type]
        folder = placed(reviews)
        found = run_audit(labels, read_verdicts(folder, audit=asked.tag) if folder.is_dir() else None, asked)
        if as_json:
            told = asdict(found) | {"judged": found.judged, "interval": found.interval, "tag": asked.tag}
            typer.echo(json.dumps(told, indent=2))
            return
        for line in found.lines():
            typer.echo(line)
        if found.open:
            typer.echo(f"{len(found.open)} to judge, each by: pear inspect ID, then")
            typer.echo(f"  pear review ID {part}=accept --audit {asked.tag}      (or {part}=reject, {part}=flag)")
            for sample in found.open:
                typer.echo(f"  {sample}")
