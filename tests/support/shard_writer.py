"""Not a test: a program that the crash tests start as a real process. It forks writers and kills them.

python shard_writer.py crash <folder> <kills> <seed>     write shards while being killed, then finish; prints JSON
python shard_writer.py race <folder> <writers> <repeats>         many processes write one shard at once; prints JSON
python shard_writer.py once <file>                       write one shard
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets_manifest.files import sweep_temporary
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer, ShardError
from datasets_manifest.shards.shard import finished_footer, read_footer, read_shard
from datasets_manifest.shards.store import shard_path, write_shard

ROWS = 60
SHARDS = 130
FOOTER = Footer(config={"weight": 1.0}, code_version="0", manifest={"id": "crash"}, shard="00000")


def template() -> pa.Table:
    """(ROWS) rows of the size of real ones."""
    rng = np.random.default_rng(0)
    columns = {
        "sample_id": [f"crash/all/x#{n}" for n in range(ROWS)],
        "dataset": ["crash"] * ROWS,
        "split": ["all"] * ROWS,
        "image": ["x"] * ROWS,
        "person": np.arange(ROWS),
        "status": ["ok"] * ROWS,
        "keypoints_2d": rng.normal(size=(ROWS, 133, 3)),
        "body_pose": rng.normal(size=(ROWS, 63)),
        **{f"{part}_valid": np.ones(ROWS, bool) for part in PART_NAMES},
    }
    return table_from_columns(columns, LABEL_SCHEMA)


def of_shard(table: pa.Table, shard: int) -> pa.Table:
    """The template with this shard's own sample ids."""
    ids = pa.array([f"crash/all/{shard}#{n}" for n in range(ROWS)])
    return table.set_column(0, LABEL_SCHEMA.field("sample_id"), ids)


def write_all(folder: Path, table: pa.Table) -> None:
    """Write every shard that is not finished yet, as a worker that starts again does."""
    for shard in range(SHARDS):
        path = shard_path(folder, "crash", "all", shard)
        if not finished_footer(path, FOOTER.config_hash):
            write_shard(path, of_shard(table, shard), FOOTER)


def forked(work) -> int:
    """Run a function in a child process and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def tell_before_rename(pipe: int) -> None:
    """Make this process write a byte into a pipe just before each rename."""
    rename = os.replace

    def telling(source, target):
        os.write(pipe, b"r")
        rename(source, target)

    os.replace = telling


def unreadable(folder: Path) -> int:
    """Number of final files that cannot be read."""
    bad = 0
    for path in folder.rglob("[!.]*.parquet"):
        try:
            read_footer(path)
        except ShardError:
            bad += 1
    return bad


def crash(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill the writer ``kills`` times: every fourth time within 3 ms of a rename, else anywhere."""
    rng = random.Random(seed)
    table = template()
    orphans = bad = near_rename = 0
    for kill in range(kills):
        reader, writer = os.pipe()

        def work(writer=writer, near=kill % 4 == 0):
            if near:
                tell_before_rename(writer)
            write_all(folder, table)

        child = forked(work)
        if kill % 4 == 0:
            for _ in range(rng.randint(1, 5)):
                os.read(reader, 1)
            time.sleep(rng.uniform(0, 0.003))
            near_rename += 1
        else:
            time.sleep(rng.uniform(0.003, 0.04))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer finished before it was killed"
        os.close(reader)
        os.close(writer)
        bad += unreadable(folder)
        left = list(folder.rglob(".*.partial"))
        orphans += len(left)
        if kill % 2:
            sweep_temporary(folder)
    finished_early = len(list(folder.rglob("[!.]*.parquet")))
    sweep_temporary(folder)
    write_all(folder, table)
    ids = [i for p in folder.rglob("[!.]*.parquet") for i in read_shard(p, LABEL_SCHEMA)["sample_id"].to_pylist()]
    return {
        "kills": kills,
        "near_rename": near_rename,
        "orphans_seen": orphans,
        "unreadable": bad,
        "finished_before_the_last_start": finished_early,
        "rows": len(ids),
        "unique_rows": len(set(ids)),
        "expected_rows": ROWS * SHARDS,
        "temporary_left": len(list(folder.rglob(".*.partial"))),
    }


def race(folder: Path, writers: int, repeats: int) -> dict[str, int]:
    """Start writers of one path at the same moment, with sweeps going on; count those that failed."""
    table = template()
    path = shard_path(folder, "race", "all", 0)
    gate, opener = os.pipe()

    def work():
        os.close(opener)
        os.read(gate, 1)
        for _ in range(repeats):
            write_shard(path, table, FOOTER)
            sweep_temporary(folder)
            if not finished_footer(path, FOOTER.config_hash):
                raise AssertionError("a reader saw a file that is not whole")

    children = [forked(work) for _ in range(writers)]
    os.close(opener)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    return {
        "failed": failed,
        "rows": read_shard(path, LABEL_SCHEMA).num_rows,
        "files": len([p for p in folder.rglob("*") if p.is_file()]),
    }


if __name__ == "__main__":
    pa.set_cpu_count(1)
    action, target, *numbers = sys.argv[1:]
    if action == "crash":
        print(json.dumps(crash(Path(target), *map(int, numbers))))
    elif action == "race":
        print(json.dumps(race(Path(target), *map(int, numbers))))
    else:
        write_shard(target, template(), FOOTER)
