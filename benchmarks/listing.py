"""How listing a data set grows with its people, in every format, beside the simple way of reading the same files.

    python -m benchmarks.listing                                     10^3 and 10^4 people
    python -m benchmarks.listing --people 1000 100000 --sets coco    one format
    python -m benchmarks.listing --people 100000 --plan              and their plan

writes made-up people (``listing_sets``) into a temporary folder, or one that ``--keep`` names, and lists them with the
adapter of the format, every record looked at once and none held. Each row is a process of its own. Memory is what the
process itself holds at most, above what it held with everything imported; pages of mapped files are not counted, for
the system takes them back when it wants to. The simple way has arrays or rows in memory and no people, boxes, units,
checks or missing photos.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.listing_sets import WRITERS
from benchmarks.process_memory import own_bytes
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.adapters.base import Inventory
from datasets_manifest.adapters.people.npz_file import NpzFile
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.restricted_pickle import unpickle

_SAMPLE_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How a set is listed, and the plain way of reading it."""

    adapter: str
    layout: Mapping[str, Any]
    read: Callable[[Path], object]
    """The same files in memory."""
    way: str
    """What that is, in words."""
    boxes: Literal["manifest", "detector"] = "manifest"
    keypoints: Literal["none", "coco"] = "coco"


def _json(root: Path) -> object:
    with (root / "people.json").open() as file:
        return json.load(file)


def _arrays(root: Path) -> object:
    found: dict[str, Any] = {}
    with np.load(root / "people.npz", allow_pickle=False) as file:
        for name in file:
            try:
                found[name] = file[name]
            except ValueError:  # objects
                found[name] = NpzFile(root / "people.npz").array(name)
    return found


def _members(ending: str, loads: Callable[[bytes], Any]) -> Callable[[Path], object]:
    def read(root: Path) -> object:
        found = []
        for path in sorted(root.glob("*.tar")):
            with tarfile.open(path) as archive:
                for info in archive:
                    if info.name.endswith(ending) and (member := archive.extractfile(info)):
                        found.append(loads(member.read()))
        return found

    return read


def _csv(root: Path) -> object:
    import pandas as pd

    return pd.read_csv(root / "people.csv", header=None)


def _tables(root: Path) -> object:
    import pandas as pd

    return [pd.read_parquet(path) for path in sorted(root.glob("*.parquet"))]


def _pickles(root: Path) -> object:
    return [_unpickled(path.read_bytes()) for path in sorted(root.glob("*.pkl"))]


def _unpickled(data: bytes) -> Any:
    return unpickle(data, "made up")


def _npz(family: str) -> Format:
    layout = {"family": family, "file": "people.npz", "images": "images"}
    return Format(adapter="npz_people", layout=layout, read=_arrays, way="np.load of all arrays")


FORMATS: Mapping[str, Format] = {
    "coco": Format(
        adapter="coco", layout={"annotations": "people.json", "images": "images"}, read=_json, way="json.load"
    ),
    "npz hmr2": _npz("hmr2"),
    "npz humandata": _npz("humandata"),
    "tar hmr2": Format(
        adapter="tar_people",
        layout={"records": "hmr2"},
        read=_members(".data.pyd", _unpickled),
        way="tarfile and unpickle of each photo",
    ),
    "parquet": Format(
        adapter="parquet_people",
        layout={"records": "sam3d_body", "images": "images"},
        read=_tables,
        way="pandas.read_parquet of each table",
    ),
    "table aic": Format(
        adapter="table",
        layout={"kind": "aic_native", "annotations": "people.json", "images": "images"},
        read=_json,
        way="json.load",
    ),
    "table ava": Format(
        adapter="table",
        layout={"kind": "ava", "annotations": "people.csv", "images": "images"},
        read=_csv,
        way="pandas.read_csv",
        keypoints="none",
    ),
    "table sa1b": Format(
        adapter="table",
        layout={"kind": "sa1b", "annotations": "*.tar"},
        read=_members(".json", json.loads),
        way="tarfile and json.loads of each photo",
        boxes="detector",
        keypoints="none",
    ),
    "pickle 3dpw": Format(
        adapter="sequence_pickle",
        layout={"kind": "pw3d", "files": ["*.pkl"], "images": "images"},
        read=_pickles,
        way="unpickle of each file",
    ),
}
assert FORMATS.keys() == WRITERS.keys()


def _stated(name: str, root: Path) -> dict[str, Any]:
    own = FORMATS[name]
    return {
        **{"id": "made_up", "version": "1", "licence": "none", "access": "made up", "purpose": "benchmark"},
        **{"adapter": own.adapter, "root": str(root), "split": "all", "layout": dict(own.layout)},
        **{"boxes": own.boxes, "keypoints": own.keypoints},
    }


def manifest_of(name: str, root: Path) -> Manifest:
    """The manifest of a set."""
    return Manifest(**_stated(name, root))


def list_set(name: str, root: Path, people: int) -> None:
    """Lists a set, no record held."""
    inventory = Inventory()
    for _ in inventory.records(open_adapter(manifest_of(name, root)).entries(), lambda _: None):
        pass
    found = inventory.people or inventory.images * (people / -(-people // 4))
    assert not inventory.missing, inventory.summary
    assert round(found) >= people, inventory.summary


def plan_set(name: str, root: Path, people: int) -> None:
    """Lists a set and writes its plan."""
    from tasks.annotate.datasets import find_datasets
    from tasks.annotate.plan.plan import list_dataset, plan_dataset
    from tasks.annotate.settings import Origin, load_config
    from tasks.annotate.workspace import Workspace

    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        folder = Path(temporary)
        (folder / "made_up.yaml").write_text(json.dumps(_stated(name, root)))
        settings = folder / "params.yaml"
        settings.write_text(f"annotate: {{datasets: [{folder / 'made_up.yaml'}]}}\n")
        config, workspace = load_config(settings), Workspace(work=folder / "work", labels=folder / "labels")
        (dataset,) = find_datasets(config, workspace, folder)
        plan_dataset(list_dataset(dataset, workspace, config), workspace, config, Origin.of(settings))


def read_plainly(name: str, root: Path, _people: int) -> None:
    """Reads a set the simple way and holds all of it."""
    _ = FORMATS[name].read(root)


WAYS: Mapping[str, Callable[[str, Path, int], None]] = {"list": list_set, "plain": read_plainly, "plan": plan_set}


def measure_here(way: str, name: str, root: Path, people: int) -> dict[str, float]:
    """Seconds of processor time and on the wall, and by how many bytes the memory of this process grew at most."""
    logging.disable(logging.WARNING)
    before = highest = own_bytes()
    done = threading.Event()

    def look() -> None:
        nonlocal highest
        while not done.wait(_SAMPLE_S):
            highest = max(highest, own_bytes())

    looking = threading.Thread(target=look)
    looking.start()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    WAYS[way](name, root, people)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    done.set()
    looking.join()
    return {"wall_seconds": seconds, "seconds": cpu_seconds, "bytes": max(highest, own_bytes()) - before}


def measure(way: str, name: str, root: Path, people: int) -> dict[str, float]:
    """``measure_here`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.listing", "--one", way, name, str(root), str(people)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} of {people} people in {name} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


COLUMNS = (
    Column(title="format", text=lambda row: row["name"]),
    Column(title="people", text=number("people", "{:,}", 1)),
    Column(title="CPU s", text=number("seconds", "{:.2f}")),
    Column(title="people a CPU s", text=number("speed", "{:,.0f}")),
    Column(title="memory MB", text=number("bytes", "{:.0f}", 1e-6)),
    Column(title="bytes a person more", text=number("growth", "{:.0f}")),
    Column(title="the simple way", text=lambda row: row["way"]),
    Column(title="its CPU s", text=number("plain_seconds", "{:.2f}")),
    Column(title="its MB", text=number("plain_bytes", "{:.0f}", 1e-6)),
    Column(title="plan CPU s", text=number("plan_seconds", "{:.2f}")),
    Column(title="plan MB", text=number("plan_bytes", "{:.0f}", 1e-6)),
)


def rows_of(name: str, folder: Path, sizes: list[int], *, planned: bool, keep: bool) -> list[Row]:
    """Rows of a format, one a size."""
    rows: list[Row] = []
    for people in sizes:
        root = folder / f"{name.replace(' ', '_')}_{people}"
        if not root.is_dir():
            writing = root.with_suffix(".part")
            writing.mkdir(parents=True)
            WRITERS[name](writing, people)
            writing.rename(root)
        listed, plain = measure("list", name, root, people), measure("plain", name, root, people)
        row: Row = {
            "name": name, "people": people, **listed, "speed": people / listed["seconds"], "way": FORMATS[name].way,
            "plain_seconds": plain["seconds"], "plain_bytes": plain["bytes"],
        }  # fmt: skip
        if rows:
            row["growth"] = (row["bytes"] - rows[0]["bytes"]) / (people - rows[0]["people"])
        if planned:
            row |= {f"plan_{key}": value for key, value in measure("plan", name, root, people).items()}
        rows.append(row)
        if not keep:
            shutil.rmtree(root)
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--sets", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--plan", action="store_true", help="Also write the plan of each.")
    parser.add_argument("--keep", type=Path, help="Folder that keeps the sets, for a further run.")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        way, name, root, people = given.one
        print(json.dumps(measure_here(way, name, Path(root), int(people))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).absolute()
        rows = [
            row
            for name in given.sets
            for row in rows_of(name, folder, sorted(given.people), planned=given.plan, keep=given.keep is not None)
        ]
    columns = [column for column in COLUMNS if any(column.text(row) != "–" for row in rows)]
    print(markdown(rows, tuple(columns)))


if __name__ == "__main__":
    main()
