"""Memory of planning, status, failures, verifying and publishing hardly grows with the number of people."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import pytest

from benchmarks.shards import OPERATIONS, measure_here, write_stubs

pytestmark = pytest.mark.long

BYTES_A_ROW = 100
"""Scalar columns, hashes of sample ids, and the names of shards; as Python objects a row took 22,000."""
NOISE_MB = 24


@pytest.mark.parametrize(
    ("rows", "more_rows", "rows_per_shard"),
    [
        (1_000, 10_000, 250),
        pytest.param(100_000, 1_000_000, 1_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_memory_is_flat(tmp_path, rows, more_rows, rows_per_shard):
    # Each operation has a process of its own, and all of them the modules that one process imported and nothing else.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["benchmarks.shards", "flows.cli.app", "flows.annotate", "tasks.annotate.run.publish"]
    )
    peaks = {}
    for count in (rows, more_rows):
        folder = tmp_path / str(count)
        with mock.patch("os.fsync"):
            write_stubs(folder, count, rows_per_shard)
        for name in OPERATIONS:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                measured = pool.submit(measure_here, name, folder, count, rows_per_shard).result()
            peaks[name, count] = measured["peak_mb"]
    allowed = BYTES_A_ROW * (more_rows - rows) / 2**20 + NOISE_MB
    grown = {name: peaks[name, more_rows] - peaks[name, rows] for name in OPERATIONS}
    assert max(grown.values()) < allowed, grown
