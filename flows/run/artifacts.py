"""What a run shows in the Prefect UI: how it ended, the table of everything that failed, and the worst fit.

Both are views: the table on disk is complete and stays when Prefect's database is deleted. Markdown is used for the
picture too, because Prefect's image artifact would print the whole data URI as text.
"""

from __future__ import annotations

import base64
import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from datasets_manifest.files import write_text
from tasks.annotate.look.failures import Failure, FailureCounts, what_to_do
from tasks.annotate.run.publication import WorstFit
from tasks.wording import counted

FAILURES_KEY = "failed-shards"
"""Key of the table; Prefect wants lower case and dashes."""

OVERLAY_KEY = "worst-fit"
"""Key of the picture."""

MAX_REASON_CHARACTERS = 240
"""Longer reasons are cut in the UI; the CSV file has them whole."""

LINE_CHARACTERS = 72
"""Width of what a code means: cells of Prefect's tables do not wrap."""

MAX_PICTURE_BYTES = 400_000
"""A larger picture is shrunk: artifacts are stored in Prefect's database and sent with every look at the page."""

_SIDES_PX = (1600, 1280, 960, 640, 480, 320)


def publish_artifacts(verdict: str, failures: FailureCounts, worst: WorstFit | None, failures_csv: Path) -> str:
    """Shows verdict, failures and worst fit on the page of the present flow run, and writes the table beside the CSV.

    Outside of a flow run only the file is written: nothing here needs, or starts, a server.

    Args:
        verdict: Markdown of how the run ended.
        failures: What failed, counted, and the first ones in the order to show.
        worst: Picture of the worst fit; None if there is none.
        failures_csv: The complete list on disk, named below the table.

    Returns:
        The table as Markdown.
    """
    failures_csv = Path(failures_csv)
    markdown = f"{verdict}\n{failures_markdown(failures, failures_csv)}"
    write_text(failures_csv.with_suffix(".md"), markdown)
    if not _in_flow_run():
        return markdown

    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        markdown, key=FAILURES_KEY, description=f"{counted(failures.count, 'failure')} of this run"
    )
    if worst is not None:
        create_markdown_artifact(
            overlay_markdown(worst), key=OVERLAY_KEY, description=f"The largest error of a label: {worst.sample_id}"
        )
    return markdown


def failures_markdown(failures: FailureCounts, failures_csv: Path) -> str:
    """Counts by code, then an item a failure with the command that does its shard again, the repairable first."""
    if not failures.count:
        return "Every shard is finished, and every person that was found has a label.\n"
    repairable = failures.shown[: len(failures.repairable)]
    lines = [
        f"## {counted(failures.count, 'failure')}"
        + f" in {counted(len(failures.shards), 'shard')}" * bool(failures.shards),
        "",
        "| code | count | what it means |",
        "|:--|--:|:--|",
        *(f"| {_text(code)} | {count} | {_cell(what_to_do(code))} |" for code, count in failures.codes.most_common()),
        "",
        *_failed_shards(failures.failed_shards),
        *_section("Can be repaired", repairable),
        *_section("Not seen well enough", failures.shown[len(repairable) :]),
    ]
    if failures.count > len(failures.shown):
        lines.append(f"The first {len(failures.shown)} of {failures.count} are shown.")
    lines.append(f"Complete list: `{failures_csv}`")
    return "\n".join(lines) + "\n"


def verdict_markdown(title: str, sentence: str) -> str:
    """How a run ended, as heading and text."""
    return f"# {_escape(title)}\n\n{_escape(sentence)}\n"


def _failed_shards(names: Iterable[str]) -> list[str]:
    """All of them, those that follow each other as a range, however many failures the items leave out."""
    places = sorted((group, int(index)) for group, _, index in (name.rpartition("/") for name in names))
    ranges: list[list[tuple[str, int]]] = []
    for group, index in places:
        if ranges and ranges[-1][-1] == (group, index - 1):
            ranges[-1][1:] = [(group, index)]
        else:
            ranges.append([(group, index)])
    told = [_code(f"{own[0][0]}/" + "-".join(f"{index:05d}" for _, index in own)) for own in ranges]
    return [f"Failed shards: {', '.join(told)}", ""] if told else []


def _section(title: str, failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    return [f"## {title}", "", *(_item(failure) for failure in failures), ""]


def overlay_markdown(worst: WorstFit) -> str:
    """The picture inside the Markdown text itself, small enough for the database, with whose it is.

    Raises:
        ValueError: The bytes are no picture.
    """
    data = base64.b64encode(shrink_png(worst.png)).decode("ascii")
    return (
        f"# Worst fit\n\n{_escape(worst.sample_id)}: of all labels of the run the furthest from its keypoints; what is "
        f"hatched red is refused. To look closer: {_code(worst.command)}\n\n"
        f"![worst fit](data:image/png;base64,{data})\n"
    )


def shrink_png(picture: bytes, *, max_bytes: int = MAX_PICTURE_BYTES) -> bytes:
    """The picture as PNG of at most ``max_bytes``; unchanged if it is one already, else scaled down until it fits."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            if image.format == "PNG" and len(picture) <= max_bytes:
                return picture
            rgb = image.convert("RGB")
    except OSError as error:
        raise ValueError(f"the overlay is not a picture ({len(picture)} bytes): {error}") from error
    data = b""
    for side in _SIDES_PX:
        rgb.thumbnail((side, side))
        out = io.BytesIO()
        rgb.save(out, format="PNG", optimize=True)
        data = out.getvalue()
        if len(data) <= max_bytes:
            return data
    raise ValueError(f"the overlay still has {len(data)} bytes at {_SIDES_PX[-1]} px, more than {max_bytes}")


def _item(failure: Failure) -> str:
    """A list and no table: Prefect's tables do not wrap, and paths are long."""
    what = failure.sample_id or f"{failure.step}/{failure.shard}"
    told = f"**{_text(what)}** {_text(failure.code)}: {_text(failure.reason)}"
    return f"- {told}<br>{_code(failure.retry)}"


def _text(text: str) -> str:
    """The text as it is written, in one line: no bar, markup or HTML of a file name or message takes effect."""
    whole = " ".join(text.split())
    shown = whole if len(whole) <= MAX_REASON_CHARACTERS else whole[: MAX_REASON_CHARACTERS - 4] + " ..."
    return _escape(shown)


def _cell(text: str) -> str:
    return "<br>".join(_escape(line) for line in textwrap.wrap(text, LINE_CHARACTERS))


def _escape(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", text)


def _code(text: str) -> str:
    """Text as code, to be copied as it is."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " * ("`" in text)
    return f"{fence}{pad}{text}{pad}{fence}"


def _in_flow_run() -> bool:
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None
