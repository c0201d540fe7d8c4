"""The program prints its tables, and the joint fit leads."""

import re

import pytest

from benchmarks.views import main

pytestmark = pytest.mark.long


def test_the_program_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--people", "3", "--seeds", "0", "--cases", "baseline"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    absolute = {row[1].strip(): float(re.findall(r"[\d.e+]+", row[2])[0]) for row in rows}
    assert len(absolute) == 6
    assert min(absolute, key=lambda name: absolute[name]) in ("4 views in one fit", "4 views triangulated first")
