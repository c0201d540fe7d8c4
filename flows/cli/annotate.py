"""Commands around annotation: run it, do shards again, look at what is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.bar import display
from flows.cli.command_line import Params, Settings, command_log, has_server, one_sentence, parse_settings
from flows.cli.given_settings import DataSets, Every, Fps, OtherId, Root, given_settings
from flows.cli.stopping import stoppable

_WAY_ON = "run the same command again to go on; what is finished is kept."


def annotate(
    datasets: DataSets = None,
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    shard: Annotated[list[str] | None, typer.Option(help="Only this shard, for example coco/val/00012.")] = None,
    root: Root = None,
    every: Every = None,
    fps: Fps = None,
    other_id: OtherId = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Begin anew; what there is of the data sets goes to work/stale.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do; write nothing.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Run in this process even if a server is up.")] = False,
) -> None:
    """Annotate data sets; what is done already is skipped.

    With a server up (`pear up`) the run shows in its UI, else it runs in this process alone.
    """
    with stoppable(_WAY_ON), one_sentence():
        overrides = given_settings(datasets, params, settings, root, other_id, every, fps)
        if dry_run:
            _tell(params, overrides)
            raise typer.Exit
        ok = _run(params, overrides, shard, local, replace=replace)
    if ok:
        stated = "" if params == Path("params.yaml") else f" --params {params}"
        command_log().info("look at the people, judge them: pear view%s", stated)
    raise typer.Exit(0 if ok else 1)


def _tell(params: Path, overrides: dict[str, Any]) -> None:
    """Says what a run would do."""
    from tasks.annotate.run.forecast import forecast
    from tasks.annotate.settings import Origin

    for line in forecast(Origin.of(params, overrides)):
        typer.echo(line)


def _run(
    params: Path,
    overrides: dict[str, Any],
    shards: Sequence[str] | None,
    local: bool,
    *,
    again: bool = False,
    replace: bool = False,
) -> bool:
    """Runs the flow where a server shows it, or else in this process; whether it went well."""
    from tasks.annotate.datasets import find_datasets
    from tasks.annotate.settings import Origin
    from tasks.annotate.workspace import Workspace

    origin = Origin.of(params, overrides)
    config = origin.config()
    # What is mistyped is told before the networks are imported.
    find_datasets(config, Workspace.of(config.output), origin.folder)
    chosen = None if shards is None else list(shards)
    if not local and has_server():
        from flows.annotate import annotate_part_labels
        from flows.run.mistakes import REFUSED

        for handler in logging.getLogger().handlers:
            handler.addFilter(_is_not_the_end)
        state = annotate_part_labels(
            params=str(origin.params),
            overrides=dict(origin.overrides),
            shards=chosen,
            again=again,
            replace=replace,
            return_state=True,
        )
        if state.name == REFUSED:
            raise ValueError(state.message)
        typer.echo(state.message or str(state))
        return state.is_completed()
    from flows.run.open_runner import local_runner
    from flows.run.orchestrate import run

    log = command_log()
    with display(log) as shown:
        runner = partial(local_runner, config.run, log)
        result = run(config, runner, log, chosen, shown, origin=origin, again=again, replace=replace)
    typer.echo(result.sentence)
    return result.is_good


def _is_not_the_end(record: logging.LogRecord) -> bool:
    """Whether a line is another than Prefect's last one of a flow run, whose sentence the command prints itself."""
    return not (record.name == "prefect.flow_runs" and record.getMessage().startswith("Finished in state"))


def retry(
    shards: Annotated[list[str], typer.Argument(help="Shards to do again, for example coco/val/00012.")],
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    local: Annotated[bool, typer.Option("--local", help="Run in this process even if a server is up.")] = False,
) -> None:
    """Do shards again from their photos even if they are done, with the settings of their data set.

    A file stays where it is until the new one replaces it; then it is kept in work/stale.
    """
    with stoppable(_WAY_ON), one_sentence():
        from tasks.annotate.run.retry import find_retries
        from tasks.annotate.settings import Origin

        retries = find_retries(shards, Origin.of(params, parse_settings(settings, params)))
        good = [_run(own.origin.params, dict(own.origin.overrides), own.shards, local, again=True) for own in retries]
    raise typer.Exit(0 if all(good) else 1)


def status(
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show what is done, read from the files; and whether a server is up."""
    with one_sentence():
        from flows.server.local_server import status as server_status
        from tasks.annotate.look.corrections import correction_lines, correction_states
        from tasks.annotate.look.status import dataset_states, status_lines
        from tasks.annotate.settings import Origin
        from tasks.annotate.workspace import Workspace

        origin = Origin.of(params, parse_settings(settings, params))
        config = origin.config()
        workspace, server = Workspace.of(config.output), server_status(Path.cwd())
        states = dataset_states(workspace)
        if as_json:
            datasets = [asdict(state) for state in states]
            corrected = [asdict(state) for state in correction_states(workspace, config)]
            found = {"datasets": datasets, "corrections": corrected}
            typer.echo(json.dumps({**found, "server": server.url if server.healthy else None}, indent=2))
            return
        for line in status_lines(states, workspace, config.run.workers, origin):
            typer.echo(line)
        for line in correction_lines(correction_states(workspace, config), workspace, origin):
            typer.echo(line)
        typer.echo(f"server: {server.url if server.healthy else 'not running (pear up starts one)'}")


def failures(
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document: counts by code, and all failures.")
    ] = False,
) -> None:
    """Print how many failures there are of each kind and what to do, then each with its reason and command."""
    with one_sentence():
        from tasks.annotate.look.failures import FailureCounts, list_failures, what_to_do
        from tasks.annotate.settings import Origin
        from tasks.annotate.workspace import Workspace
        from tasks.wording import counted

        origin = Origin.of(params, parse_settings(settings, params))
        workspace, counts = Workspace.of(origin.config().output), FailureCounts(num_shown=0)
        found = [asdict(failure) for failure in counts.counted(list_failures(workspace, origin)) if as_json]
        by_code = counts.codes.most_common()
        if as_json:
            codes = {code: {"count": count, "what_to_do": what_to_do(code)} for code, count in by_code}
            typer.echo(json.dumps({"count": counts.count, "codes": codes, "failures": found}, indent=2))
            return
        for code, count in by_code:
            typer.echo(f"{count} {code}: {what_to_do(code)}")
        for failure in list_failures(workspace, origin):
            what = failure.sample_id or f"{failure.step}/{failure.shard}"
            typer.echo(f"{what}: {failure.code}: {failure.reason}  [{failure.retry}]")
        typer.echo(counted(counts.count, "failure"))


def _short(values: dict[str, Any]) -> dict[str, Any]:
    """Named values without the long lists."""
    return {name: value for name, value in values.items() if not isinstance(value, list) or len(value) <= 10}


def inspect(
    sample_id: Annotated[str, typer.Argument(help="As in the labels, for example demo_photos/all/camera.png#0.")],
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    out: Annotated[
        Path, typer.Option(help="PNG to write: keypoints, mesh over the photo, side view; what pixels changed.")
    ] = Path("sample.png"),
) -> None:
    """Print one label and draw it over its photo; of one in a group also the frames before and after and all views."""
    with one_sentence():
        from datasets_manifest.files import write_bytes
        from datasets_manifest.paths import placed
        from tasks.annotate.look.inspect import company_lines, draw_sample, find_company, find_label
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace

        config = load_config(params, parse_settings(settings, params))
        workspace = Workspace.of(config.output)
        row, shard = find_label(workspace, sample_id)
        if row.get("before_pixels") is not None:
            row["before_pixels"] = _short(dict(row["before_pixels"]))
        typer.echo(json.dumps(_short(row), indent=2, default=str))
        company = find_company(row, shard, workspace)
        for line in company_lines(row, company) if company is not None else ():
            typer.echo(line)
        out = placed(out)
        write_bytes(out, draw_sample(row, shard, workspace, config, company))
        typer.echo(f"drawn: {out}")


def masks(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Ids of data sets; default: all that are planned.")
    ] = None,
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="Folder of the masks: <out>/<data set>/<split>/<photo>.png.")] = Path(
        "masks"
    ),
) -> None:
    """Write which pixels are whom, for a training that looks at pixels; of people whose keypoints are there."""
    with stoppable("run the same command again to make them anew."), one_sentence():
        from datasets_manifest.paths import placed
        from tasks.annotate.run.masks import write_masks
        from tasks.annotate.settings import load_config

        config = load_config(params, parse_settings(settings, params))
        with display(command_log()) as shown:
            counts = write_masks(config, datasets or [], placed(out), shown)
        for count in counts:
            typer.echo(f"{count.folder}: {count.masks} masks of {count.people} people")


def verify(
    params: Params = Path("params.yaml"),
    settings: Settings = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every file, also those that have not changed since the last look.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check the published labels: readable, one setting a data set, every person once, every planned shard there.

    Ends with 1 if planned shards lack labels or labels are not planned, with 2 if labels cannot be trusted.
    """
    with one_sentence():
        from tasks.annotate.look.verify import verify_labels
        from tasks.annotate.settings import Origin
        from tasks.annotate.workspace import Workspace

        origin = Origin.of(params, parse_settings(settings, params))
        found = verify_labels(Workspace.of(origin.config().output), origin, deep=deep)
        typer.echo(json.dumps(found.plain(), indent=2) if as_json else "\n".join(found.lines()))
        if found.fault:
            raise ValueError(found.fault)
    raise typer.Exit(1 if found.gaps else 0)
