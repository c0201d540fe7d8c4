"""Memory of planning, status, failures, verifying and publishing hardly grows with the number of people."""

import pytest

from benchmarks.shards import OPERATIONS, measure, write_stubs

BYTES_A_ROW = 100
"""Scalar columns, hashes of sample ids, and the names of shards; as Python objects a row took 22,000."""
NOISE_MB = 24


@pytest.mark.parametrize(
    ("rows", "more_rows", "rows_per_shard"),
    [
        (2_000, 20_000, 100),
        pytest.param(100_000, 1_000_000, 1_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_memory_is_flat(tmp_path, rows, more_rows, rows_per_shard):
    peaks = {}
    for count in (rows, more_rows):
        write_stubs(tmp_path / str(count), count, rows_per_shard)
        for name in OPERATIONS:
            peaks[name, count] = measure(name, tmp_path / str(count), count, rows_per_shard)["peak_mb"]
    allowed = BYTES_A_ROW * (more_rows - rows) / 2**20 + NOISE_MB
    grown = {name: peaks[name, more_rows] - peaks[name, rows] for name in OPERATIONS}
    assert max(grown.values()) < allowed, grown
