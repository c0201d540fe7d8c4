"""The program prints its table: whoever maps the labels opens no shard."""

import pytest

from benchmarks.label_reading import main


@pytest.mark.slow
def test_the_program_prints_its_table(capsys):
    read, mapped = main(["--rows", "6000", "--processes", "2"])
    assert (read["opens"], mapped["opens"]) == (2, 0)
    assert "| mapped | 6000 | 2 | 0 |" in capsys.readouterr().out
