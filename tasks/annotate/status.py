"""What is done, as the files say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry
from tasks.annotate.finished import finished_files, open_journal
from tasks.annotate.workspace import STEPS, Group, ShardRef, Workspace, shard_of, shard_paths


def planned_shards(workspace: Workspace) -> Iterator[ShardRef]:
    """Every shard that has a plan file, in order."""
    return (shard for shard, _ in shard_paths(workspace.work / "plan"))


def status_lines(workspace: Workspace) -> list[str]:
    """A line a data set, split and step: finished and failed shards, people and failed people."""
    planned: defaultdict[Group, set[int]] = defaultdict(set)
    for shard in planned_shards(workspace):
        planned[shard.group].add(shard.index)
    if not planned:
        return [f"nothing is planned in {workspace.work} yet (pear annotate starts a run)"]
    counts: defaultdict[tuple[Group, str], Counter[str]] = defaultdict(Counter)
    journal = open_journal(workspace)
    for step in STEPS:
        for shard, entry in finished_files(workspace, step, journal):
            if shard.index in planned.get(shard.group, ()):
                _count(counts[shard.group, step], entry)
        for shard in recorded_failures(workspace, step):
            counts[shard.group, step]["failed"] += shard.index in planned.get(shard.group, ())
    journal.save()
    return [
        _line("/".join(group), step, len(planned[group]), counts[group, step])
        for group in sorted(planned)
        for step in STEPS
    ]


def recorded_failures(workspace: Workspace, step: str) -> list[ShardRef]:
    """The shards of which an error at a step is recorded, in order."""
    records = sorted((workspace.work / "failed" / step).glob("*/*/*.json"))
    return [shard for path in records if (shard := shard_of(path)) is not None]


def _count(counts: Counter[str], entry: Entry | ShardError) -> None:
    if isinstance(entry, ShardError):
        counts["unreadable"] += 1
        return
    counts["done"] += 1
    counts["people"] += entry.num_people
    counts["failed people"] += entry.num_failed
    counts["empty photos"] += entry.empty_count


def _line(name: str, step: str, planned: int, counts: Counter[str]) -> str:
    extra = "".join(f", {counts[name]} shards {name}" for name in ("failed", "unreadable") if counts[name])
    empty = f", {counts['empty photos']} photos without people" if counts["empty photos"] else ""
    return (
        f"{name} {step}: {counts['done']} of {planned} shards{extra}, "
        f"{counts['people']} people, {counts['failed people']} failed{empty}"
    )
