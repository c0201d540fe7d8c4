"""Labels of a training in the memory of its processes: read by each of them, and mapped from what is read once.

    python -m benchmarks.label_reading                                   the table of docs/benchmarks/speed.md
    python -m benchmarks.label_reading --rows 2000 --processes 2         a check of the program

Synthetic labels with every column a training needs. ``read`` is what each process did before there was a file in the
run's folder: all shards opened, checked and kept. ``mapped`` opens that file. Then each goes through all rows in random
order, as a training does, and waits for the others; only then the memory is looked at, so that pages which processes
share count as shared. Private memory is what each process adds; the shared pages belong to the file and can be dropped.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.selection import Selection, select_labels
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.shards.store import shard_path, write_shard
from tasks.training.regressor.label_rows import LabelRows

SHARD_ROWS = 5000
VISITED = 5000
"""Rows that a process makes of its labels one by one."""
COLUMNS = (
    Column(title="labels", text=lambda row: str(row["way"])),
    Column(title="rows", text=number("rows", "{:d}", 1)),
    Column(title="processes", text=number("processes", "{:d}", 1)),
    Column(title="Parquet opens a process", text=number("opens", "{:.0f}")),
    Column(title="s until ready", text=number("seconds", "{:.2f}")),
    Column(title="private MB a process", text=number("private_bytes", "{:.0f}", 1e-6)),
    Column(title="proportional MB a process", text=number("pss_bytes", "{:.0f}", 1e-6)),
)


def write_labels(folder: Path, num_rows: int, shard_rows: int = SHARD_ROWS, schema: pa.Schema = LABEL_SCHEMA) -> Path:
    """Shards of random people; returns the data set's folder."""
    rng = np.random.default_rng(0)
    lists = {f.name: (n, f.type.value_type) for f in schema if (n := fixed_length(f)) is not None}
    for shard, first in enumerate(range(0, num_rows, shard_rows)):
        count = min(shard_rows, num_rows - first)
        numbers = range(first, first + count)
        columns: dict[str, Any] = {
            name: rng.random((count, length)) < 0.5 if kind == "bool" else rng.random((count, length), np.float32)
            for name, (length, kind) in lists.items()
        }
        columns |= {
            "sample_id": [f"many/train/{k:08d}.jpg#0" for k in numbers],
            "image": [f"{k:08d}.jpg" for k in numbers],
            "dataset": ["many"] * count,
            "split": ["train"] * count,
            "person": np.zeros(count, np.int16),
            "status": ["ok"] * count,
            "focal_px": np.full(count, 500.0, np.float32),
            **{f"{part}_quality": np.ones(count, np.float32) for part in PART_NAMES},
            **{name: np.ones(count, bool) for name in ("eyes_valid", "eyelids_valid")},
            "bbox_xyxy": np.tile(np.array([10, 10, 90, 190], np.float32), (count, 1)),
            **{f"{part}_valid": np.ones(count, bool) for part in PART_NAMES},
        }
        manifest = {"id": "many", "version": "1", "hash": "0", "licence": "none", "inputs_hash": "0"}
        footer = Footer(config={"step": "benchmark"}, code_version="0", manifest=manifest, shard=f"{shard:05d}")
        write_shard(shard_path(folder, "many", "train", shard), table_from_columns(columns, schema), footer)
    return folder / "many"


def _process(labels: Path, mapped: tuple[Path, str] | None, barrier: Barrier, found: Any) -> None:
    """One training process as far as labels go."""
    opens = 0
    real = pq.ParquetFile

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal opens
        opens += 1
        return real(*args, **options)

    pq.ParquetFile = counted
    empty = psutil.Process().memory_full_info()
    begin = time.process_time()
    selection: Selection
    if mapped is None:
        selection = select_labels(labels, max_dropped_share=0.0)
    else:
        (selection,) = read_selections(*mapped)
    rows = LabelRows(selection)
    seconds = time.process_time() - begin
    order = np.random.default_rng(1).permutation(len(rows))
    for name in ("keypoints_2d", "body_pose", "left_hand_pose", "right_hand_pose"):
        selection.array(name)[order].sum()
    for row in order[:VISITED]:
        rows[int(row)].parameters["betas"].sum()
    barrier.wait(timeout=300)
    full = psutil.Process().memory_full_info()
    barrier.wait(timeout=300)
    found.put((opens, seconds, full.uss - empty.uss, full.pss - empty.pss))


def measure(labels: Path, mapped: tuple[Path, str] | None, num_rows: int, processes: int) -> Row:
    """One row of the table, the median of the processes."""
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(processes), context.Queue()
    started = [context.Process(target=_process, args=(labels, mapped, barrier, found)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise RuntimeError("a process ended badly; its trace is above")
    values = [found.get() for _ in started]
    names = ("opens", "seconds", "private_bytes", "pss_bytes")
    middle = {name: statistics.median(column) for name, column in zip(names, zip(*values, strict=True), strict=True)}
    return {"way": "mapped" if mapped else "read", "rows": num_rows, "processes": processes, **middle}


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        labels = write_labels(Path(folder), options.rows)
        path = Path(folder) / "selection.arrow"
        begin = time.process_time()
        stamp = write_selections(path, [select_labels(labels, max_dropped_share=0.0)])
        print(f"read and written once: {time.process_time() - begin:.2f} s, {path.stat().st_size / 1e6:.0f} MB\n")
        rows = [measure(labels, way, options.rows, options.processes) for way in (None, (path, stamp))]
    print(markdown(rows, COLUMNS))
    return rows


if __name__ == "__main__":
    main()
