"""What is said of a person in words: state, reasons, figures of the parts, and commands to type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets_manifest.corrections.schema import Correction
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.error_codes import ErrorCode
from tasks.view.index import Label
from tasks.view.state import Opened
from tasks.wording import counted

_NAMED = 4
"""Keypoints of a state that are named; more are counted."""


def part_name(part: str) -> str:
    """As it is shown: `left hand`."""
    return part.replace("_", " ")


def state_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """The state of a person, with the reason and what it means."""
    yield str(row["status"])
    if row.get("error_code"):
        yield f"{row['error_code']}: {ErrorCode(row['error_code']).sentence}"
    if row.get("error_detail"):
        yield str(row["error_detail"])


def part_figures(row: Mapping[str, Any], part: str) -> str:
    """Whether a part may supervise, its quality and its distance from the keypoints; of predictions whether it was
    seen."""
    if f"{part}_valid" not in row:
        seen = row.get(f"{part}_seen")
        return "" if seen is None else "seen" if seen else "not seen"
    if row[f"{part}_valid"] is None:
        return ""
    said = ["valid" if row[f"{part}_valid"] else "refused"]
    for name, text in ((f"{part}_quality", "quality {:.2f}"), (f"reproj_{part}_px", "{:.1f} px off")):
        if row.get(name) is not None:
            said.append(text.format(row[name]))
    return ", ".join(said)


def figure_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """The other scalar figures of a row."""
    of_parts = {f"{part}{end}" for part in PART_NAMES for end in ("_valid", "_quality", "_seen")}
    of_parts |= {f"reproj_{part}_px" for part in PART_NAMES}
    told = {"sample_id", "dataset", "split", "person", "status", "error_code", "error_detail", *of_parts}
    for name, value in row.items():
        if name in told or value is None or isinstance(value, list | tuple | dict):
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        yield f"{name.replace('_', ' ')}: {shown}"


def commands(opened: Opened, label: Label) -> list[str]:
    """What draws the label in a file, and what makes its shard again; none of labels that the settings do not name."""
    row = label.row
    if opened.origin is None or "dataset" not in row:
        return []
    from tasks.annotate.commands import command, retry_command
    from tasks.annotate.label_files import shard_of_label
    from tasks.annotate.plan_files import is_planned
    from tasks.annotate.workspace import Workspace

    workspace = Workspace.of(opened.config.output)
    shard = shard_of_label(workspace, label.path, row["sample_id"])
    if shard is None:
        return []
    told = [command(opened.origin, "inspect", row["sample_id"], "--out", "sample.png")]
    if is_planned(workspace, shard):
        told.append(retry_command(shard, opened.origin))
    return told


def tried_lines(tried: Sequence[Correction]) -> Iterator[str]:
    """What is tried, by state; many keypoints are counted."""
    from model.body.skeleton import KEYPOINT_NAMES

    last = {one.keypoint: one.state for one in tried}
    for state, said in (("moved", "moved"), ("unusable", "unusable"), ("none", "as found")):
        names = [KEYPOINT_NAMES[k] for k, own in last.items() if own == state]
        if names:
            yield f"{said}: {', '.join(names[:_NAMED])}" + (f" and {len(names) - _NAMED} more" * (len(names) > _NAMED))


def kept_words(kept: Sequence[Correction], stale: Sequence[tuple[Correction, str]]) -> str:
    """How many corrections are kept and by whom, and why how many are stale; empty without any."""
    by = ", ".join(sorted({one.corrected_by for one in kept}))
    reasons = Counter(why for _, why in stale)
    told = [f"{counted(len(kept), 'keypoint')} corrected by {by}"] if kept else []
    told += [f"{counted(num, 'correction')} stale and not obeyed: {why}" for why, num in reasons.items()]
    return "; ".join(told)
