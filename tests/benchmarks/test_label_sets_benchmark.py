"""The program measures every command on labels that it writes."""

import pytest

from benchmarks.label_sets import COMMANDS, main


@pytest.mark.slow
def test_the_program_prints_its_table(capsys):
    rows = main(["--people", "3"])
    assert [row["command"] for row in rows] == list(COMMANDS)
    assert all(row["seconds"] > 0 and row["bytes"] > 0 for row in rows)
    assert "| `pear compare` | 3 | this |" in capsys.readouterr().out
