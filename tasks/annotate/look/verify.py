"""The labels folder as a whole: what each data set holds, what is wrong with it, and what the plan has besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from datasets_manifest.shards.snapshot import Group, GroupSnapshot, read_snapshot
from tasks.annotate.commands import annotate_command, command
from tasks.annotate.finished import open_journal
from tasks.annotate.plan_files import planned_numbers
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was found."""

    groups: Mapping[Group, GroupSnapshot]
    """What each split of a data set holds."""
    remarks: tuple[str, ...]
    """What was passed over, in a sentence each."""
    gaps: tuple[str, ...]
    """Differences from the plan: shards without labels, and labels that are not planned; a sentence each."""
    fault: str
    """Why labels cannot be trusted; empty if they can."""

    def lines(self) -> Iterator[str]:
        """All but the fault, for a person."""
        yield from (_line(group, labels) for group, labels in self.groups.items())
        yield from (*self.remarks, *self.gaps)

    def plain(self) -> dict[str, Any]:
        """The same as JSON values."""
        datasets = [
            {
                "dataset": dataset,
                "split": split,
                "shards": labels.num_shards,
                "labels": asdict(labels.count),
                "settings": {digest: num for digest, (num, _) in labels.settings.items()},
            }
            for (dataset, split), labels in self.groups.items()
        ]
        return {"datasets": datasets, "remarks": self.remarks, "gaps": self.gaps, "fault": self.fault}


def verify_labels(workspace: Workspace, origin: Origin, *, deep: bool = False) -> Verification:
    """Looks at all labels and compares what is there with ``work/plan``, as far as that is there.

    Args:
        workspace: Where files are.
        origin: Of the settings that say so, for the commands that are told.
        deep: Whether every file is read and compared with the journal; else those that have no entry in it.
    """
    journal = open_journal(workspace)
    snapshot = read_snapshot(workspace.labels, journal=journal, deep=deep)
    journal.save()
    planned = planned_numbers(workspace)
    gaps = []
    for group in sorted({*planned, *snapshot.groups}):
        labels = snapshot.groups.get(group, GroupSnapshot())
        # One that is there and cannot be read is a fault, which says what to do.
        found = labels.shards | snapshot.unread.get(group, set())
        gaps += _gaps(group, planned.get(group), found, workspace, origin)
    remarks = tuple(filter(None, [snapshot.foreign_warning]))
    fault = snapshot.fault()
    if not snapshot.groups and not fault:
        fault = f"There are no labels in {workspace.labels} yet ({command(origin, 'annotate')} makes them)."
    return Verification(groups=dict(snapshot.groups), remarks=remarks, gaps=tuple(gaps), fault=fault)


def _line(group: Group, labels: GroupSnapshot) -> str:
    num = labels.num_shards
    settings = " and ".join(digest[:12] for digest in labels.settings)
    return f"{'/'.join(group)}: {num} shard{'s' * (num != 1)}, {labels.count.sentence}, settings {settings}"


def _gaps(group: Group, planned: set[int] | None, found: set[int], workspace: Workspace, origin: Origin) -> list[str]:
    if planned is None:  # Labels that were copied here, or whose work folder was deleted.
        return []
    if planned == found:
        return []
    name, again, gaps = "/".join(group), annotate_command(group, workspace, origin), []
    if missing := sorted(planned - found):
        some = f"{len(missing)} of {len(planned)} planned shards of {name}"
        gaps.append(
            f"{some} {'have' if len(missing) > 1 else 'has'} no labels ({_some(missing)}); "
            f"`{command(origin, 'failures')}` says why, `{again}` makes them."
        )
    if extra := sorted(found - planned):
        gaps.append(
            f"{len(extra)} shard{'s' * (len(extra) > 1)} of {name} {'have' if len(extra) > 1 else 'has'} labels but "
            f"{'are' if len(extra) > 1 else 'is'} not planned ({_some(extra)}); `{again}` sets such files aside."
        )
    return gaps


def _some(shards: list[int]) -> str:
    return ", ".join(f"{index:05d}" for index in shards[:5]) + (", ..." if len(shards) > 5 else "")
