"""Listing each format takes hardly more memory for ten times the people."""

import pytest

from benchmarks.listing import COLUMNS, FORMATS, rows_of
from benchmarks.table import markdown

pytestmark = pytest.mark.long

BYTES_A_PERSON = 600
"""Ids, names of photos, and where rows lie; the parameters of HumanData are one pickle."""
NOISE_BYTES = 24e6
OFTEN = ("coco", "tar hmr2")
"""A file that is read row by row, and photos in tar files; the others take a minute and a half together."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in FORMATS]
)
def test_memory_is_flat(tmp_path, name):
    few, many = rows_of(name, tmp_path, [500, 5000], planned=name == "coco", keep=False)
    allowed = BYTES_A_PERSON * (4 if name == "npz humandata" else 1) * 4500 + NOISE_BYTES
    assert many["bytes"] - few["bytes"] < allowed
    assert "5,000" in markdown([few, many], COLUMNS)
