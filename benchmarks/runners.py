"""What it costs to spread the shards of a run: threads, processes, Dask, Ray and pulling workers beside each other.

    python -m benchmarks.runners --photos 24 --workers 2

annotates the same rendered people by each, with simulated estimators and the real fit, as commands of their own, and
prints for each the time by the clock, processor time, largest memory (proportional set size: what processes share is
counted once) and most processes at a time of the whole tree, and whether the labels are those of threads to the byte.
A runner whose package is not installed is left out. With ``--server URL`` the runs show on that Prefect server.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

RUNNERS = {"threads": "flows", "processes": "flows", "dask": "distributed", "ray": "ray", "pear work": "flows"}
"""Runner to the package that it needs."""
_PROJECT = """
annotate:
  datasets: [people.yaml]
  keypoints: {{backend: simulated}}
  body: {{backend: simulated}}
  hands: {{backend: simulated}}
  face: {{backend: simulated}}
  run: {{images_per_shard: {images_per_shard}, workers: {workers}}}
"""
_MANIFEST = """
id: people
version: "1"
licence: CC0
access: rendered
adapter: synthetic
root: unused
split: all
layout: {{count: {photos}, seed: 3}}
boxes: manifest
keypoints: coco_wholebody
purpose: benchmark
"""
_SAMPLED_S = 0.5


@dataclass(slots=True)
class Cost:
    """What a tree of processes used."""

    wall_s: float = 0.0
    """From the start to the end of the last command."""
    peak_bytes: int = 0
    """Largest proportional set size of all of them together."""
    processes: int = 0
    """Most of them at a time."""
    loaded: int = 0
    """Most of them at a time that have torch."""
    seconds: dict[tuple[int, float], float] = field(default_factory=dict)
    """Processor time of each, as it was last seen."""

    @property
    def cpu_s(self) -> float:
        """Processor time of all."""
        return sum(self.seconds.values())

    def look(self, processes: Sequence[psutil.Process]) -> None:
        """Takes a sample."""
        memory = count = loaded = 0
        for process in processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                self.seconds[process.pid, process.create_time()] = times.user + times.system
                memory += process.memory_full_info().pss
                count += 1
                loaded += "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(errors="replace")
        self.peak_bytes = max(self.peak_bytes, memory)
        self.processes, self.loaded = max(self.processes, count), max(self.loaded, loaded)


def _tree(roots: Sequence[subprocess.Popen[str]]) -> Iterator[psutil.Process]:
    for root in roots:
        with suppress(psutil.Error):
            process = psutil.Process(root.pid)
            yield process
            yield from process.children(recursive=True)


def measure(commands: Sequence[Sequence[str]], folder: Path, env: Mapping[str, str]) -> Cost:
    """Runs commands beside each other and looks at them and all that they start.

    Raises:
        RuntimeError: One of them failed.
    """
    cost, started = Cost(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        roots = [
            subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=said, stderr=said, text=True)
            for command in commands
        ]
        while any(root.poll() is None for root in roots):
            cost.look(list(_tree(roots)))
            time.sleep(_SAMPLED_S)
        cost.wall_s = time.perf_counter() - started
        if any(root.returncode for root in roots):
            said.seek(0)
            raise RuntimeError(f"{' '.join(commands[0])} failed: {said.read()[-2000:]}")
    return cost


def write_project(folder: Path, photos: int, images_per_shard: int, workers: int) -> None:
    """Writes settings and manifest."""
    (folder / "people.yaml").write_text(_MANIFEST.format(photos=photos))
    (folder / "params.yaml").write_text(_PROJECT.format(images_per_shard=images_per_shard, workers=workers))


def commands_of(runner: str, workers: int, *, local: bool) -> list[list[str]]:
    """The commands by which a runner does the project."""
    pear = [sys.executable, "-m", "flows.cli.app"]
    if runner == "pear work":
        return [[*pear, "work"]] * workers
    return [[*pear, "annotate", "--set", f"run.task_runner={runner}", *(["--local"] if local else [])]]


def forget_results(folder: Path) -> None:
    """Leaves only what was rendered."""
    for name in ("labels", "reports", "metrics", *(f"work/{name}" for name in ("plan", "parts", "state", "failed"))):
        shutil.rmtree(folder / name, ignore_errors=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--images-per-shard", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runners", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    parser.add_argument("--server", help="Address of the API of a Prefect server.")
    given = parser.parse_args()
    env = {"SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    if given.server:
        env["PREFECT_API_URL"] = given.server
    print(f"{given.photos} photos, {given.images_per_shard} a shard, {given.workers} workers")
    print("| runner | wall s | CPU s | peak PSS GB | processes | with torch | labels of threads, to the byte |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_project(folder, given.photos, given.images_per_shard, given.workers)
        measure(commands_of("threads", given.workers, local=True), folder, env)  # renders
        by_threads = _labels(folder)
        for runner in given.runners:
            if importlib.util.find_spec(RUNNERS[runner]) is None:
                continue
            forget_results(folder)
            commands = commands_of(runner, given.workers, local=not given.server)
            cost, equal = measure(commands, folder, env), _labels(folder) == by_threads
            figures = f"{cost.wall_s:.0f} | {cost.cpu_s:.0f} | {cost.peak_bytes / 1e9:.2f} | {cost.processes}"
            print(f"| {runner} | {figures} | {cost.loaded} | {'yes' if equal else 'no'} |", flush=True)


def _labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "labels").rglob("*.parquet")}


if __name__ == "__main__":
    main()
