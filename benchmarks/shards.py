"""How planning, status, verifying and publishing grow with the number of people, and what reading a row costs.

    python -m benchmarks.shards --rows 1000 10000

writes label and part shards of made-up people into a temporary folder and prints seconds of processor time and peak
memory for each number of rows, and by how many bytes a row the peak grows from the first number to the last. Every
operation runs in a process of its own, whose imports count in the peak.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa

from benchmarks.process_memory import peak_bytes
from datasets_manifest.adapters.base import Entry, ImageRecord
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_SCHEMAS
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import check_snapshot, shard_files
from datasets_manifest.shards.store import write_shard
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import STEPS, ShardRange, Workspace

DATASET = "stub"
_MANIFEST = """
id: stub
version: "1"
licence: none
access: made up
adapter: folder
root: {root}
split: all
layout: {{}}
boxes: detector
keypoints: none
purpose: benchmark
"""


class _Photos:
    """A data set of photos that are nowhere, listed one by one."""

    def __init__(self, count: int) -> None:
        self.count = count

    def entries(self) -> Iterator[Entry]:
        """As an adapter does."""
        return (ImageRecord(image_id=f"{k:07d}.jpg", path=f"{k:07d}.jpg") for k in range(self.count))

    def state(self, _image: str) -> tuple[int, int]:
        """As an image source does."""
        return 1, 1


def workspace_in(folder: Path) -> Workspace:
    """Where the shards of a benchmark lie."""
    return Workspace(work=folder / "work", labels=folder / "labels")


def write_stubs(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Writes labels, parts and a manifest of ``rows`` made-up people; every tenth failed."""
    from model.body.assets import load_open_body

    (folder / "photos").mkdir(parents=True)
    (folder / "stub.yaml").write_text(_MANIFEST.format(root=folder / "photos"))
    assets = load_open_body()
    body_model = {"name": assets.smplx.name, "sha256": assets.sha256, "licence": assets.smplx.licence}
    for shard in _shards(rows, rows_per_shard):
        first = shard.index * rows_per_shard
        count = min(rows_per_shard, rows - first)
        for step in STEPS:
            schema = LABEL_SCHEMA if step == "refine" else PART_SCHEMAS[step]
            footer = Footer(
                config={"step": step},
                code_version="0",
                manifest={"id": DATASET, "version": "1", "hash": "0", "licence": "", "inputs_hash": str(shard.index)},
                shard=f"{shard.index:05d}",
                body_model=body_model,
            )
            write_shard(workspace_in(folder).step_path(step, shard), _table(first, count, schema), footer)


def _shards(rows: int, rows_per_shard: int) -> ShardRange:
    return ShardRange(DATASET, "all", -(-rows // rows_per_shard))


def _table(first: int, count: int, schema: pa.Schema) -> pa.Table:
    """Rows with a value in every column; one failed in ten."""
    numbers = np.arange(first, first + count)
    failed = numbers % 10 == 0
    columns: dict[str, Any] = {
        "sample_id": [f"{DATASET}/all/{k:07d}.jpg#0" for k in numbers],
        "dataset": [DATASET] * count,
        "split": ["all"] * count,
        "image": [f"{k:07d}.jpg" for k in numbers],
        "status": np.where(failed, "failed", "ok"),
        "error_code": ["no_person_found" if lost else None for lost in failed],
        "error_detail": ["nobody" if lost else None for lost in failed],
    }
    for field in schema:
        length = fixed_length(field)
        if field.name in columns or pa.types.is_map(field.type) or pa.types.is_dictionary(field.type):
            continue
        if length is not None:
            columns[field.name] = np.ones((count, length), bool if field.type.value_type == pa.bool_() else np.float32)
        elif pa.types.is_boolean(field.type):
            columns[field.name] = ~failed
        else:
            columns[field.name] = (numbers % 97 + 1) / 100 if pa.types.is_floating(field.type) else np.ones(count, int)
    return table_from_columns(columns, schema)


def plan(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Lists ``rows`` photos and writes their plan."""
    from tasks.annotate import plan as planning
    from tasks.annotate.datasets import find_datasets
    from tasks.annotate.settings import AnnotateConfig, RunConfig

    run, photos = RunConfig(images_per_shard=rows_per_shard), _Photos(rows)
    config = AnnotateConfig(datasets=(str(folder / "stub.yaml"),), run=run)
    (dataset,) = find_datasets(config, workspace_in(folder))
    with (
        mock.patch.object(planning, "open_source", return_value=photos),
        mock.patch.object(planning, "open_adapter", return_value=photos),
    ):
        planning.plan_dataset(dataset, workspace_in(folder), config, _origin(folder))


def _origin(folder: Path) -> Origin:
    return Origin.of(folder / "params.yaml")


def status(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Counts what is done."""
    from tasks.annotate.status import status_lines

    assert any(f"{rows} rows" in line for line in status_lines(workspace_in(folder)))


def failures(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Goes through everything that failed."""
    from tasks.annotate.failures import list_failures

    assert sum(1 for _ in list_failures(workspace_in(folder), _origin(folder))) == -(-rows // 10)


def verify(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Checks the labels as a whole."""
    assert check_snapshot(workspace_in(folder).labels).count.rows == rows


def publish(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Checks, counts, measures and draws the page."""
    from datasets_manifest.manifest import load_manifest
    from tasks.annotate.plan import DatasetPlan
    from tasks.annotate.publish import publish as publish_labels
    from tasks.annotate.settings import AnnotateConfig, OutputConfig

    output = OutputConfig(
        work=str(folder / "work"),
        labels=str(folder / "labels"),
        report=str(folder / "report"),
        metrics=str(folder / "metrics.json"),
    )
    shards = _shards(rows, rows_per_shard)
    planned = DatasetPlan(manifest=load_manifest(str(folder / "stub.yaml")), shards=shards, summary="")
    done = publish_labels(workspace_in(folder), AnnotateConfig(output=output), [planned], shards, {}, _origin(folder))
    assert (done.count.people, done.failures.count, done.warning) == (rows, -(-rows // 10), "")


def columns(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Reads every column of the labels as arrays."""
    for path in shard_files(workspace_in(folder).labels):
        with Shard(path) as shard:
            read = Columns(shard.table(LABEL_SCHEMA))
            assert all(len(read[name]) == read.num_rows for name in read)


OPERATIONS: Mapping[str, Callable[[Path, int, int], None]] = {
    "plan": plan,
    "status": status,
    "failures": failures,
    "verify": verify,
    "columns": columns,
    "publish": publish,
}


def measure(operation: str, folder: Path, rows: int, rows_per_shard: int) -> dict[str, float]:
    """Runs one operation in a new process: its processor seconds, and the peak memory of that process in MB."""
    command = [sys.executable, "-m", "benchmarks.shards", "--one", operation, "--folder", str(folder)]
    command += ["--rows", str(rows), "--rows-per-shard", str(rows_per_shard)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{operation} of {rows} rows failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _run(operation: str, folder: Path, rows: int, rows_per_shard: int) -> dict[str, float]:
    logging.disable(logging.WARNING)
    started = time.process_time()
    OPERATIONS[operation](folder, rows, rows_per_shard)
    seconds = time.process_time() - started
    return {"seconds": seconds, "peak_mb": peak_bytes() / 2**20}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--rows-per-shard", type=int, default=8)
    parser.add_argument("--one", choices=OPERATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_run(given.one, given.folder, given.rows[0], given.rows_per_shard)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in OPERATIONS}
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            write_stubs(Path(folder), rows, given.rows_per_shard)
            for name in OPERATIONS:
                found[name].append(measure(name, Path(folder), rows, given.rows_per_shard))
    print(
        "| operation | "
        + " | ".join(f"{rows} rows: CPU s, us a row, peak MB" for rows in given.rows)
        + " | bytes a row |"
    )
    print("|---" * (len(given.rows) + 2) + "|")
    for name, own in found.items():
        cells = [
            f"{one['seconds']:.2f}, {1e6 * one['seconds'] / rows:.0f}, {one['peak_mb']:.0f}"
            for one, rows in zip(own, given.rows, strict=True)
        ]
        growth = (own[-1]["peak_mb"] - own[0]["peak_mb"]) * 2**20 / max(given.rows[-1] - given.rows[0], 1)
        print(f"| {name} | " + " | ".join(cells) + f" | {growth:.0f} |")


if __name__ == "__main__":
    main()
