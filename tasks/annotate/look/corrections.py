"""What became of corrections of keypoints: obeyed, stale, or waiting for the next run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets_manifest.shards.journal import Entry
from datasets_manifest.shards.shard import read_footer
from tasks.annotate.commands import annotate_command
from tasks.annotate.corrections import corrected_inputs, shard_corrections
from tasks.annotate.finished import finished_files, open_journal
from tasks.annotate.plan_files import planned_footers
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import Group, Workspace
from tasks.wording import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectionState:
    """Of one split of a data set."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    people: int
    """Whose label has corrected keypoints."""
    keypoints: int
    """That their labels obey."""
    stale: int
    """Corrections that labels did not obey, since the person or the photo is another one."""
    waiting: int
    """Shards whose labels were made before the last correction of somebody in them, or before one was taken back."""


def correction_states(workspace: Workspace, config: AnnotateConfig) -> Iterator[CorrectionState]:
    """What the labels make of corrections, by split of a data set; nothing of those that were never corrected."""
    corrected = {group for group in workspace.planned_groups() if (Path(config.output.corrections) / group[0]).is_dir()}
    if not corrected:
        return
    journal = open_journal(workspace)
    planned = {shard: plan.manifest["inputs_hash"] for shard, plan in planned_footers(workspace, sorted(corrected))}
    counts: dict[Group, Counter[str]] = {group: Counter() for group in sorted(corrected)}
    for shard, labels in finished_files(workspace, "refine", journal):
        if not isinstance(labels, Entry) or shard not in planned:
            continue
        own = shard_corrections(shard, workspace, config)
        if labels.inputs_hash != corrected_inputs(planned[shard], own):
            counts[shard.group]["waiting"] += 1
        elif own:
            stated = read_footer(workspace.step_path("refine", shard)).manifest["corrections"]
            counts[shard.group].update(stated)
    journal.save()
    for (dataset, split), count in counts.items():
        values = {name: count[name] for name in ("people", "keypoints", "stale", "waiting")}
        if any(values.values()):
            yield CorrectionState(dataset=dataset, split=split, **values)


def correction_lines(states: Iterable[CorrectionState], workspace: Workspace, origin: Origin) -> Iterator[str]:
    """A line a split that has corrections, with the command that obeys those that wait."""
    for state in states:
        told = f"{counted(state.keypoints, 'corrected keypoint')} of {state.people} people obeyed"
        told += f", {state.stale} stale" if state.stale else ""
        if state.waiting:
            again = annotate_command((state.dataset, state.split), workspace, origin)
            told += f"; {counted(state.waiting, 'shard')} to be refined again (`{again}`)"
        yield f"{state.dataset}/{state.split} corrections: {told}"
