"""What a run shows in the Prefect UI: the table of everything that failed, and the picture of the worst fit.

Both are views: the table on disk is complete and stays when Prefect's database is deleted. Markdown is used for the
picture too, because Prefect's image artifact would print the whole data URI as text.
"""

from __future__ import annotations

import base64
import io
import re
import textwrap
from pathlib import Path

from PIL import Image

from datasets_manifest.files import write_text
from tasks.annotate.failures import Failure, FailureCounts
from tasks.wording import counted

FAILURES_KEY = "failed-shards"
"""Key of the table; Prefect wants lower case and dashes."""

OVERLAY_KEY = "worst-fit"
"""Key of the picture."""

MAX_REASON_CHARACTERS = 240
"""Longer reasons are cut in the UI; the CSV file has them whole."""

LINE_CHARACTERS = 36
"""Width of a table cell; six columns of it fit a laptop screen."""

MAX_PICTURE_BYTES = 400_000
"""A larger picture is shrunk: artifacts are stored in Prefect's database and sent with every look at the page."""

_SIDES_PX = (1600, 1280, 960, 640, 480, 320)


def publish_artifacts(failures: FailureCounts, overlay: Path | bytes | None, failures_csv: Path) -> str:
    """Shows failures and worst overlay on the page of the present flow run, and writes the table beside the CSV.

    Outside of a flow run only the file is written: nothing here needs, or starts, a server.

    Args:
        failures: What failed, counted, and the first ones in the order to show.
        overlay: Picture of the worst fit, as file or as its bytes; None if there is none.
        failures_csv: The complete list on disk, named below the table.

    Returns:
        The table as Markdown.
    """
    failures_csv = Path(failures_csv)
    markdown = failures_markdown(failures, failures_csv)
    write_text(failures_csv.with_suffix(".md"), markdown)
    picture = overlay.read_bytes() if isinstance(overlay, Path) else overlay
    if not _in_flow_run():
        return markdown

    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        markdown, key=FAILURES_KEY, description=f"{counted(failures.count, 'failure')} of this run"
    )
    if picture is not None:
        source = f"`{overlay}`" if isinstance(overlay, Path) else "the report"
        create_markdown_artifact(
            overlay_markdown(picture, source), key=OVERLAY_KEY, description="The accepted person with the largest error"
        )
    return markdown


def failures_markdown(failures: FailureCounts, failures_csv: Path) -> str:
    """Counts by code, then one table row a failure with the command that does its shard again."""
    if not failures.count:
        return "# Nothing failed\n\nEvery shard is finished and every person has a label.\n"
    lines = [
        f"# {counted(failures.count, 'failure')}"
        + f" in {counted(len(failures.shards), 'shard')}" * bool(failures.shards),
        "",
        "| code | count |",
        "|:--|--:|",
        *(f"| {_cell(code)} | {count} |" for code, count in failures.codes.most_common()),
        "",
        "| shard part or person | code | to try again | reason |",
        "|:--|:--|:--|:--|",
        *(_row(failure) for failure in failures.shown),
        "",
    ]
    if failures.count > len(failures.shown):
        lines.append(f"The first {len(failures.shown)} of {failures.count} are shown.")
    lines.append(f"Complete list: `{failures_csv}`")
    return "\n".join(lines) + "\n"


def overlay_markdown(picture: bytes, source: str) -> str:
    """A picture inside the Markdown text itself, small enough for the database.

    Raises:
        ValueError: The bytes are no picture.
    """
    png = shrink_png(picture)
    data = base64.b64encode(png).decode("ascii")
    return f"# Worst accepted fit\n\nFrom {source}.\n\n![worst accepted fit](data:image/png;base64,{data})\n"


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


def _row(failure: Failure) -> str:
    what = failure.sample_id or f"{failure.step}/{failure.shard}"
    # The reason comes last: on a narrow page it may run out of sight, the command may not.
    return f"| {_cell(what)} | {_cell(failure.code)} | `{_code(failure.retry)}` | {_cell(failure.reason)} |"


def _cell(text: str) -> str:
    """The text as it is written, in short lines: no table bar, markup or HTML of a file name or message takes effect.

    Prefect's tables do not wrap, so a long reason would push the command out of the page.
    """
    whole = " ".join(text.split())
    shown = whole if len(whole) <= MAX_REASON_CHARACTERS else whole[: MAX_REASON_CHARACTERS - 4] + " ..."
    return "<br>".join(_escape(line) for line in textwrap.wrap(shown, LINE_CHARACTERS))


def _escape(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", text)


def _code(text: str) -> str:
    """Text for a code span in a table cell."""
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")


def _in_flow_run() -> bool:
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None
