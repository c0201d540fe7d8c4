"""Check a folder of finished labels as a whole: every shard readable, one config, every sample once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from datasets_manifest.schema.labels import LABEL_SCHEMA, Status
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import Shard


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What a folder of labels holds."""

    config_hash: str
    """The one config that all shards were made with."""
    num_shards: int
    """Files."""
    num_rows: int
    """People; ok + partial + failed."""
    num_ok: int
    """People with every part trusted."""
    num_partial: int
    """People with a label of which a part is not trusted."""
    num_failed: int
    """People without a label."""
    failures: dict[str, int]
    """Failed rows by error code."""


def check_snapshot(
    labels_dir: Path | str,
    *,
    expected_rows: int | None = None,
    visit: Callable[[Shard, pa.Table], None] | None = None,
) -> Snapshot:
    """Read every shard below ``labels_dir`` and count its rows.

    Args:
        labels_dir: folder of one run's labels.
        expected_rows: number of rows that the plan asks for, to prove that none is lost.
        visit: called with each shard that can be read, in the order of their paths, so that who needs the rows as well
            reads them once; a ShardError of it is one of the problems.

    Raises:
        ValueError: a shard is unreadable or disagrees with its footer, configs are mixed, a sample occurs twice, or
            the number of rows is another than expected. All problems are named, the first ten in full.
    """
    root = Path(labels_dir)
    paths = sorted(p for p in root.rglob("*.parquet") if not any(q.startswith(".") for q in p.relative_to(root).parts))
    problems: list[str] = [] if paths else [f"There is no shard below {root}."]
    shards_by_hash: Counter[str] = Counter()
    example: dict[str, Path] = {}
    statuses: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    first_file: dict[str, Path] = {}
    for path in paths:
        try:
            with Shard(path) as shard:
                table = shard.table(LABEL_SCHEMA)
                if visit is not None:
                    visit(shard, table)
        except ShardError as error:
            problems.append(str(error))
            continue
        footer = shard.footer
        shards_by_hash[footer.config_hash] += 1
        example.setdefault(footer.config_hash, path)
        states = table["status"].to_pylist()
        if states.count(Status.FAILED.value) != footer.failed_count:
            problems.append(f"Shard {path} has {states.count('failed')} failed rows, its footer {footer.failed_count}.")
        statuses.update(states)
        codes = table["error_code"].to_pylist()
        failures.update(code for code, state in zip(codes, states, strict=True) if state == Status.FAILED)
        for sample_id in table["sample_id"].to_pylist():
            if sample_id in first_file:
                problems.append(f"Sample {sample_id} occurs in {first_file[sample_id]} and again in {path}.")
            first_file.setdefault(sample_id, path)
    num_rows = statuses.total()
    if len(shards_by_hash) > 1:
        counts = ", ".join(
            f"{count} of {digest[:12]} such as {example[digest].relative_to(root)}"
            for digest, count in shards_by_hash.most_common()
        )
        problems.append(
            f"Shards of {len(shards_by_hash)} configs are mixed ({counts}); run all their data sets again with one "
            "config, or move the old ones out of the folder."
        )
    if expected_rows is not None and num_rows != expected_rows:
        problems.append(f"There are {num_rows} rows, the plan has {expected_rows}.")
    if problems:
        more = f" ... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"Labels in {root} are not a snapshot: " + " ".join(problems[:10]) + more)
    return Snapshot(
        config_hash=next(iter(shards_by_hash)),
        num_shards=len(paths),
        num_rows=num_rows,
        num_ok=statuses[Status.OK],
        num_partial=statuses[Status.PARTIAL],
        num_failed=statuses[Status.FAILED],
        failures=dict(failures),
    )
