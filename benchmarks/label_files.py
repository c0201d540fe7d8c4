"""Labels in files of one shard and of several: files, bytes, and what making and reading them takes.

    python -m benchmarks.label_files                                  the table of docs/scale.md
    python -m benchmarks.label_files --rows 2000 --shards-per-file 8  a check of the program

Random people, one a photo, with as many coefficients as in the paper. Seconds are processor time; everything is read
twice, and the second time counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.label_reading import write_labels
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import read_snapshot, shard_files
from tasks.annotate.run.joined_labels import JoinedLabels
from tasks.annotate.workspace import ShardRef, SplitShards, Workspace, shard_of

SHARD_ROWS = 64
SCHEMA = label_schema(BodySize(num_betas=200, num_flame_shape=300, num_expression=50))
COLUMNS = (
    Column(title="shards a file", text=number("size", "{:d}", 1)),
    Column(title="files", text=number("files", "{:d}", 1)),
    Column(title="MB", text=number("bytes", "{:.0f}", 1e-6)),
    Column(title="joined, s", text=number("joined", "{:.1f}")),
    Column(title="pandas: all, s", text=number("pandas", "{:.1f}")),
    Column(title="pyarrow: all, s", text=number("pyarrow", "{:.1f}")),
    Column(title="pyarrow: two columns, s", text=number("two columns", "{:.2f}")),
    Column(title="one row, ms", text=number("one row", "{:.1f}", 1e3)),
)


def _pandas(folder: Path) -> Callable[[], object]:
    import pandas as pd

    return lambda: pd.read_parquet(folder)


def _pyarrow(folder: Path) -> Callable[[], object]:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(folder)


def _two_columns(folder: Path) -> Callable[[], object]:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(folder, columns=["sample_id", "body_quality"])


def _one_row(folder: Path) -> Callable[[], object]:
    paths = list(shard_files(folder))

    def read() -> None:
        with Shard(paths[len(paths) // 2]) as shard:
            shard.rows(SCHEMA, shard.num_rows // 2, shard.num_rows // 2 + 1)

    return read


WAYS: Mapping[str, Callable[[Path], Callable[[], object]]] = {
    "pandas": _pandas,
    "pyarrow": _pyarrow,
    "two columns": _two_columns,
    "one row": _one_row,
}


def _measured(way: str, folder: Path) -> float:
    read = WAYS[way](folder)
    read()
    started = time.process_time()
    read()
    return time.process_time() - started


def joined(folder: Path, size: int, num_shards: int) -> tuple[Path, float]:
    """Labels in files of a number of shards, and processor seconds that joining took beyond checking the shards."""
    labels = folder / f"labels{size}"
    workspace = Workspace(work=folder / "work", labels=labels, shards_per_file=size)
    files = JoinedLabels(workspace)
    read_snapshot(workspace.step_folder("refine"), visit=lambda shard, *_: files.add(_ref(shard), shard))
    started = time.process_time()
    files.publish(SplitShards("many", "train", range(num_shards)), "")
    return labels, time.process_time() - started


def _ref(shard: Shard) -> ShardRef:
    found = shard_of(shard.path)
    assert found is not None
    return found


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--shards-per-file", type=int, nargs="+", default=[64, 256, 1000])
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shards = write_labels(folder / "work/parts/refine", options.rows, SHARD_ROWS, SCHEMA).parent
        num_shards = len(list(shard_files(shards)))
        for size in (1, *options.shards_per_file):
            labels, seconds = (shards, 0.0) if size == 1 else joined(folder, size, num_shards)
            sizes = [path.stat().st_size for path in shard_files(labels)]
            row = {"size": size, "files": len(sizes), "bytes": sum(sizes), "joined": seconds}
            rows.append(row | {way: _measured(way, labels) for way in WAYS})
    print(markdown(rows, COLUMNS))
    return rows


if __name__ == "__main__":
    main()
