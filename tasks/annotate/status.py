"""What is done, as the files say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import read_footer
from tasks.annotate.workspace import STEPS, Group, ShardRef, Workspace, shard_paths


def planned_shards(workspace: Workspace) -> Iterator[ShardRef]:
    """Every shard that has a plan file, in order."""
    return (shard for shard, _ in shard_paths(workspace.work / "plan"))


def status_lines(workspace: Workspace) -> list[str]:
    """A line a data set, split and step: finished and failed shards, people and failed people."""
    planned: Counter[Group] = Counter()
    counts: defaultdict[tuple[Group, str], Counter[str]] = defaultdict(Counter)
    for shard in planned_shards(workspace):
        planned[shard.group] += 1
        for step in STEPS:
            _count(workspace, step, shard, counts[shard.group, step])
    if not planned:
        return [f"nothing is planned in {workspace.work} yet (pear annotate starts a run)"]
    return [
        _line("/".join(group), step, planned[group], counts[group, step]) for group in sorted(planned) for step in STEPS
    ]


def _count(workspace: Workspace, step: str, shard: ShardRef, counts: Counter[str]) -> None:
    counts["failed"] += workspace.failure_path(step, shard).is_file()
    try:
        footer = read_footer(workspace.step_path(step, shard))
    except FileNotFoundError:
        return
    except ShardError:
        counts["unreadable"] += 1
        return
    counts["done"] += 1
    counts["people"] += footer.num_people
    counts["failed people"] += footer.num_failed
    counts["empty photos"] += footer.empty_count


def _line(name: str, step: str, planned: int, counts: Counter[str]) -> str:
    extra = "".join(f", {counts[name]} shards {name}" for name in ("failed", "unreadable") if counts[name])
    empty = f", {counts['empty photos']} photos without people" if counts["empty photos"] else ""
    return (
        f"{name} {step}: {counts['done']} of {planned} shards{extra}, "
        f"{counts['people']} people, {counts['failed people']} failed{empty}"
    )
