"""Check a folder of finished labels as a whole: every shard readable, one config, every sample once."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, Status
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import Shard, read_shard

_SHOWN = 10
"""Problems that are named in full."""


class SnapshotError(ValueError):
    """A folder of labels may not be used as a whole."""


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


def shard_files(root: Path | str) -> Iterator[Path]:
    """Every Parquet file below a folder in the order of their paths, hidden ones left out; of one folder at a time."""
    entries = sorted(os.scandir(root), key=lambda entry: entry.name) if os.path.isdir(root) else []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from shard_files(entry.path)
        elif entry.name.endswith(".parquet"):
            yield Path(entry.path)


def check_snapshot(
    labels_dir: Path | str,
    *,
    expected_rows: int | None = None,
    visit: Callable[[Shard, pa.Table], None] | None = None,
) -> Snapshot:
    """Read every shard below ``labels_dir`` and count its rows. Memory: 16 bytes a row.

    Args:
        labels_dir: folder of one run's labels.
        expected_rows: number of rows that the plan asks for, to prove that none is lost.
        visit: called with each shard that can be read and its rows, in the order of their paths, so that who needs the
            rows as well reads them once; a ShardError of it is one of the problems.

    Raises:
        SnapshotError: a shard is unreadable or disagrees with its footer, configs are mixed, a sample occurs twice, or
            the number of rows is another than expected. All problems are counted, the first ten named in full.
    """
    root = Path(labels_dir)
    problems = _Problems()
    num_shards = 0
    shards_by_hash: Counter[str] = Counter()
    example: dict[str, Path] = {}
    statuses: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    ids = bytearray()
    for path in shard_files(root):
        num_shards += 1
        try:
            with Shard(path) as shard:
                table = shard.table(LABEL_SCHEMA)
                if visit is not None:
                    visit(shard, table)
        except ShardError as error:
            problems.add(str(error))
            continue
        footer = shard.footer
        shards_by_hash[footer.config_hash] += 1
        example.setdefault(footer.config_hash, path)
        rows = Columns(table)
        is_failed = rows["status"] == Status.FAILED.value
        if (failed := int(is_failed.sum())) != footer.failed_count:
            problems.add(f"Shard {path} has {failed} failed rows, its footer {footer.failed_count}.")
        statuses.update(rows["status"].tolist())
        failures.update(rows["error_code"][is_failed].tolist())
        ids += b"".join(map(_digest, rows["sample_id"]))
    if not num_shards:
        problems.add(f"There is no shard below {root}.")
    for sentence in _repeated(root, ids):
        problems.add(sentence)
    if len(shards_by_hash) > 1:
        counts = ", ".join(
            f"{count} of {digest[:12]} such as {example[digest].relative_to(root)}"
            for digest, count in shards_by_hash.most_common()
        )
        problems.add(
            f"Shards of {len(shards_by_hash)} configs are mixed ({counts}); run all their data sets again with one "
            "config, or move the old ones out of the folder."
        )
    num_rows = statuses.total()
    if expected_rows is not None and num_rows != expected_rows:
        problems.add(f"There are {num_rows} rows, the plan has {expected_rows}.")
    if problems.count:
        more = f" ... and {problems.count - _SHOWN} more" if problems.count > _SHOWN else ""
        raise SnapshotError(f"Labels in {root} are not a snapshot: " + " ".join(problems.shown) + more)
    return Snapshot(
        config_hash=next(iter(shards_by_hash)),
        num_shards=num_shards,
        num_rows=num_rows,
        num_ok=statuses[Status.OK],
        num_partial=statuses[Status.PARTIAL],
        num_failed=statuses[Status.FAILED],
        failures=dict(failures),
    )


@dataclass(slots=True)
class _Problems:
    """The first problems, and how many there are."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, sentence: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(sentence)


def _digest(sample_id: str) -> bytes:
    """128 bits: of 10^9 samples no two different ones have the same with a probability of 1 - 10^-20."""
    return hashlib.blake2b(sample_id.encode(), digest_size=16).digest()


def _repeated(root: Path, ids: bytearray) -> Iterator[str]:
    """A sentence for every sample that occurs again; shards are read a second time only if there is one."""
    high, low = np.frombuffer(ids, np.uint64).reshape(-1, 2).T
    if not (np.diff(np.sort(high)) == 0).any():
        return
    order = np.lexsort((low, high))
    same = (np.diff(high[order]) == 0) & (np.diff(low[order]) == 0)
    twice = {bytes(ids[16 * row : 16 * row + 16]) for row in order[1:][same]}
    first_file: dict[str, Path] = {}
    for path in shard_files(root):
        try:
            names = Columns(read_shard(path, LABEL_SCHEMA, ["sample_id"]))["sample_id"].tolist()
        except ShardError:
            continue
        for name in names:
            if _digest(name) in twice:
                if name in first_file:
                    yield f"Sample {name} occurs in {first_file[name]} and again in {path}."
                first_file.setdefault(name, path)
