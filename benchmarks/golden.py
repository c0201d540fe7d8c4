"""A golden run: whether a change of the code changes a number.

    python -m benchmarks.golden record before        # about a minute on one core
    python -m benchmarks.golden record after         # the same, after the change
    python -m benchmarks.golden compare before after

A small project is run by the public commands: labels of two photos and twelve rendered people, twenty steps of a
training, predictions of its network; and a refinement of synthetic people. `compare` names every value that is not the
same to the bit, with the largest difference, and ends with 1 if there is one. Footers, times and hashes are not
compared: they may change where numbers do not. Both runs belong on one machine, with one version of torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("annotate", "fit", "train", "predict")
"""What is run, in this order; `predict` needs `train`."""
_PEOPLE = "datasets_manifest/manifests/demo_people.yaml"
_HASH = re.compile(r"(?<=[-/])[0-9a-f]{8,64}(?=[/.]|$)")
_TRAINING = (
    "synthetic.train=96 synthetic.validation=16 steps=20 every.log=1 every.evaluate=10 every.checkpoint=10 "
    "every.pictures=20 run.batch_size=8"
)


def record(folder: Path, parts: tuple[str, ...] = PARTS) -> None:
    """Runs the project of this checkout in a folder, which is made.

    Raises:
        subprocess.CalledProcessError: A command failed; what it said is in `log.txt`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "params.train.yaml"):
        shutil.copy(ROOT / name, folder)
    if "annotate" in parts:
        manifest = (ROOT / _PEOPLE).read_text(encoding="utf-8").replace("count: 64", "count: 12")
        (folder / "people.yaml").write_text(manifest, encoding="utf-8")
        _pear(folder, "annotate", "demo_photos", "people.yaml", "--local")
    if "fit" in parts:
        np.savez(folder / "fit.npz", allow_pickle=False, **fitted())
    if "train" in parts:
        settings = itertools.chain.from_iterable(("--set", setting) for setting in _TRAINING.split())
        _pear(folder, "train", "--local", *settings)
    if "predict" in parts:
        (folder / "photos").mkdir(exist_ok=True)
        for photo in sorted((folder / "work/synthetic_people").glob("val-*/images/*"))[:4]:
            shutil.copy(photo, folder / "photos")
        _pear(folder, "predict", "photos", "--checkpoint", "runs/regressor.safetensors", "--boxes", "whole")


def _pear(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print("pear", *arguments, flush=True)
    with open(folder / "log.txt", "a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "flows.cli.app", *arguments]
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def fitted(count: int = 24) -> dict[str, np.ndarray]:
    """Every array of two refinements: of people alone, and of failed estimates of four photos a person."""
    from benchmarks.synthetic_people import HARD_START, make_people
    from fitting.refine import refine
    from fitting.sparse_body import SparseBody
    from model.body.assets import load_open_body

    torch.manual_seed(0)
    body = SparseBody.from_assets(load_open_body())
    alone, together = make_people(body, count, seed=3), make_people(body, count, seed=4, config=HARD_START)
    results = {
        "alone": refine(body, alone.observations, alone.coarse, alone.camera),
        "together": refine(
            body, together.observations, together.coarse, together.camera, person_index=torch.arange(count) // 4
        ),
    }
    return {name: tensor.numpy() for name, tensor in _tensors(results)}


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value.detach()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _tensors(inner, f"{name}.{key}")


def values(folder: Path) -> dict[str, Any]:
    """Everything of a recorded run that has to stay, by file and column; hashes in names of folders are left out."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = _HASH.sub("*", path.relative_to(folder).as_posix())
        if path.suffix == ".parquet":
            table = pq.ParquetFile(path).read()
            found |= {f"{name}: {column}": table[column].to_pylist() for column in table.column_names}
        elif path.suffix == ".npz":
            found |= {f"{name}: {key}": array for key, array in np.load(path).items()}
        elif path.suffix == ".safetensors":
            found |= {f"{name}: {key}": array for key, array in load_file(path).items()}
        elif path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            found |= {f"{name}: {key}": [row.get(key) for row in rows] for key in {k for row in rows for k in row}}
    return found


def differences(before: Path, after: Path) -> Iterator[str]:
    """One line for each value that is not the same to the bit."""
    old, new = values(before), values(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name}: only in {before if name in old else after}"
        elif _bits(old[name]) != _bits(new[name]):
            yield f"{name}: {_largest(old[name], new[name])}"


def _bits(value: Any) -> Any:
    # NaN is the same as NaN here, which it is for neither lists nor arrays.
    return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def _largest(old: Any, new: Any) -> str:
    first, second = (np.array(list(_numbers(value)), dtype=float) for value in (old, new))
    if first.shape != second.shape or np.array_equal(first, second, equal_nan=True):
        return "other rows or other text"
    return f"largest difference {np.nanmax(np.abs(first - second)):.3g}"


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)


def main() -> None:
    """`record` a run, or `compare` two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="Run the small project.")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="Only these.")
    comparing = commands.add_parser("compare", help="Name every value that changed.")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.folder, tuple(arguments.parts))
        return
    found = list(differences(arguments.before, arguments.after))
    print(*found, f"Values that differ: {len(found)}.", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
