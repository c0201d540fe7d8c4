"""The program prints its table."""

from benchmarks.video_frames import WAYS, main


def test_the_program_prints_its_table(capsys):
    (row,) = main(["--sizes", "160x96", "--gops", "8", "--frames", "40"])
    assert min(row[way] for way in WAYS) > 0
    assert "| 160x96 | 8 |" in capsys.readouterr().out
