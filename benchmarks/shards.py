"""How listing, planning, planning again, looking and publishing grow with the number of people, and what reading a row
costs.

    python -m benchmarks.shards --rows 1000 10000

writes plans, part files and labels of made-up people, one a photo, into a temporary folder, and prints seconds of
processor time and peak memory for each number of rows, and by how many bytes a row the peak grows from the first number
to the last. Every operation runs in a process of its own, whose imports count. Those that begin with ``pear`` are the
commands; ``pear annotate`` finds everything done and, after ``publish``, published.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pyarrow as pa

from benchmarks.process_memory import peak_bytes
from datasets_manifest.adapters.base import Entry, ImageRecord
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.shards.store import write_shard
from tasks.annotate.plan_files import planned_footers
from tasks.annotate.workspace import STEPS, SplitShards, Workspace

if TYPE_CHECKING:  # A process imports what its operation needs.
    from tasks.annotate.plan.plan import Listing
    from tasks.annotate.settings import AnnotateConfig

DATASET = "stub"
_SHARDS_AT_ONCE = 64
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


def settings_in(folder: Path) -> Path:
    """Settings file of a benchmark."""
    return folder / "params.yaml"


def write_stubs(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Writes settings, a manifest, and plan, parts and labels of ``rows`` made-up people as a run leaves them; every
    tenth failed."""
    from tasks.annotate.provenance import step_footer
    from tasks.annotate.settings import load_config

    (folder / "photos").mkdir(parents=True)
    (folder / "stub.yaml").write_text(_MANIFEST.format(root=folder / "photos"))
    run = f"{{images_per_shard: {rows_per_shard}, max_failed_share: 1.0}}"
    settings_in(folder).write_text(f"annotate: {{datasets: [{folder / 'stub.yaml'}], run: {run}}}\n")
    config, workspace = load_config(settings_in(folder)), workspace_in(folder)
    _plan(folder, rows, workspace)
    shards = planned_footers(workspace)
    footers: dict[str, Footer] = {}
    while block := list(itertools.islice(shards, _SHARDS_AT_ONCE)):
        first = block[0][0].index * rows_per_shard
        for step in STEPS:
            schema = LABEL_SCHEMA if step == "refine" else PART_SCHEMAS[step]
            table = _table(first, min(len(block) * rows_per_shard, rows - first), schema)
            known = footers.setdefault(step, step_footer(step, config, block[0][0], block[0][1].manifest))
            for k, (shard, planned) in enumerate(block):
                stated = {name: planned.manifest[name] for name in known.manifest}
                footer = replace(known, manifest=stated, shard=f"{shard.index:05d}")
                own = table.slice(k * rows_per_shard, rows_per_shard)
                write_shard(workspace.step_path(step, shard), own, footer)


def _shards(rows: int, rows_per_shard: int) -> SplitShards:
    return SplitShards(DATASET, "all", range(-(-rows // rows_per_shard)))


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
        "error_code": ["reprojection_too_large" if lost else None for lost in failed],
        "error_detail": ["the body is 40 px off" if lost else None for lost in failed],
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


@contextmanager
def _photos(count: int) -> Iterator[None]:
    """Lets the data set of the benchmark have photos."""
    from tasks.annotate.datasets import Dataset
    from tasks.annotate.plan import plan as planning

    photos = _Photos(count)
    with (
        mock.patch.object(Dataset, "open", return_value=photos),
        mock.patch.object(planning, "open_adapter", return_value=photos),
    ):
        yield


@contextmanager
def _listed(folder: Path, rows: int, workspace: Workspace) -> Iterator[tuple[AnnotateConfig, Listing]]:
    """Settings, and the data set of the benchmark, listed as far as its first photo."""
    from tasks.annotate.datasets import find_datasets
    from tasks.annotate.plan.plan import list_dataset
    from tasks.annotate.settings import load_config

    config = load_config(settings_in(folder))
    (dataset,) = find_datasets(config, workspace, folder.absolute())
    with _photos(rows):
        yield config, list_dataset(dataset, workspace, config)


def listing(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Lists ``rows`` photos and does nothing with them, which is a part of planning."""
    with _listed(folder, rows, workspace_in(folder / "planned")) as (_, listed):
        assert sum(1 for _ in listed.photos) == rows


def plan(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Lists ``rows`` photos and writes their plan."""
    _plan(folder, rows, workspace_in(folder / "planned"))


def _plan(folder: Path, rows: int, workspace: Workspace) -> None:
    from tasks.annotate.plan.plan import plan_dataset
    from tasks.annotate.settings import Origin

    with _listed(folder, rows, workspace) as (config, listed):
        plan_dataset(listed, workspace, config, Origin.of(settings_in(folder)))


def pear(*words: str, code: int = 0) -> Callable[[Path, int, int], None]:
    """A command as it is typed in the folder of a benchmark."""

    def command(folder: Path, rows: int, rows_per_shard: int) -> None:
        from flows.cli.app import app

        os.chdir(folder)
        with _photos(rows) if "annotate" in words[:1] and code == 0 else nullcontext():
            assert (app(list(words), standalone_mode=False) or 0) == code

    return command


def publish(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Checks, counts, measures and draws the page."""
    from datasets_manifest.manifest import load_manifest
    from tasks.annotate.plan.plan import DatasetPlan
    from tasks.annotate.run.publish import publish as publish_labels
    from tasks.annotate.settings import Origin, load_config

    shards = _shards(rows, rows_per_shard)
    planned = DatasetPlan(manifest=load_manifest(str(folder / "stub.yaml")), shards=shards, summary="")
    config, origin = load_config(settings_in(folder)), Origin.of(settings_in(folder))
    (workspace_in(folder).work / "published.json").unlink(missing_ok=True)  # Else what is published stands.
    done = publish_labels(workspace_in(folder), config, [planned], shards, {}, origin)
    assert (done.count.rows, done.failures.count, done.warning) == (rows, -(-rows // 10), "")


def columns(folder: Path, rows: int, rows_per_shard: int) -> None:
    """Reads every column of the labels as arrays."""
    for path in shard_files(workspace_in(folder).labels):
        with Shard(path) as shard:
            read = Columns(shard.table(LABEL_SCHEMA))
            assert all(len(read[name]) == read.num_rows for name in read)


OPERATIONS: Mapping[str, Callable[[Path, int, int], None]] = {
    "listing": listing,
    "plan": plan,
    "replan": plan,
    "columns": columns,
    "publish": publish,
    "pear status": pear("status"),
    "pear failures": pear("failures"),
    "pear verify": pear("verify"),
    "pear verify --deep": pear("verify", "--deep"),
    "pear annotate": pear("annotate", "--local"),
    "pear annotate nosuch": pear("annotate", "nosuch", "--local", code=2),
}


def measure(operation: str, folder: Path, rows: int, rows_per_shard: int) -> dict[str, float]:
    """Runs one operation in a new process: its processor seconds, and the peak memory of that process in MB."""
    command = [sys.executable, "-m", "benchmarks.shards", "--one", operation, "--folder", str(folder)]
    command += ["--rows", str(rows), "--rows-per-shard", str(rows_per_shard)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{operation} of {rows} rows failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_here(operation: str, folder: Path, rows: int, rows_per_shard: int) -> dict[str, float]:
    """Runs one operation in this process: processor seconds and peak memory since the process began."""
    logging.disable(logging.WARNING)
    OPERATIONS[operation](folder, rows, rows_per_shard)
    return {"seconds": time.process_time(), "peak_mb": peak_bytes() / 2**20}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--rows-per-shard", type=int, default=8)
    parser.add_argument("--keep", type=Path, help="Folder that keeps what is written, for a further run.")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--one", choices=OPERATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure_here(given.one, given.folder, given.rows[0], given.rows_per_shard)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in given.operations}
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (given.keep or Path(temporary)).absolute() / f"{rows}x{given.rows_per_shard}"
            if not folder.is_dir():
                with mock.patch("os.fsync"):
                    write_stubs(folder, rows, given.rows_per_shard)
            for name in given.operations:
                found[name].append(measure(name, folder, rows, given.rows_per_shard))
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
