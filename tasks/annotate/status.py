"""What is done, as the files say."""

from __future__ import annotations

from collections import Counter

from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import read_footer
from tasks.annotate.workspace import STEPS, ShardRef, Workspace


def planned_shards(workspace: Workspace) -> list[ShardRef]:
    """Every shard that has a plan file, in order."""
    root = workspace.work / "plan"
    return [
        ShardRef(dataset=path.parent.parent.name, split=path.parent.name, index=int(path.stem))
        for path in sorted(root.glob("*/*/[0-9]*.parquet"))
    ]


def status_lines(workspace: Workspace) -> list[str]:
    """A line a data set and step: finished and failed shards, rows and failed rows."""
    shards = planned_shards(workspace)
    if not shards:
        return [f"nothing is planned in {workspace.work} yet (pear annotate starts a run)"]
    lines = []
    for dataset in sorted({shard.dataset for shard in shards}):
        own = [shard for shard in shards if shard.dataset == dataset]
        for step in STEPS:
            counts: Counter[str] = Counter()
            for shard in own:
                counts["failed"] += workspace.failure_path(step, shard).is_file()
                path = workspace.step_path(step, shard)
                if not path.is_file():
                    continue
                try:
                    footer = read_footer(path)
                except ShardError:
                    counts["unreadable"] += 1
                    continue
                counts["done"] += 1
                counts["rows"] += footer.row_count
                counts["failed rows"] += footer.failed_count
            extra = "".join(f", {counts[name]} shards {name}" for name in ("failed", "unreadable") if counts[name])
            lines.append(
                f"{dataset} {step}: {counts['done']} of {len(own)} shards{extra}, "
                f"{counts['rows']} rows, {counts['failed rows']} failed"
            )
    return lines
