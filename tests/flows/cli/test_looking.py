"""Commands that look, and mistakes, answer at once: nothing heavy is imported for them."""

import subprocess
import sys

from annotated_project import write_project
from typer.testing import CliRunner

from flows.cli.app import app

PROGRAM = """
import sys
from flows.cli.app import app
for words in sys.argv[1:]:
    try:
        app(words.split())
    except SystemExit as end:
        print("code", end.code, *sorted({"torch", "scipy", "prefect", "pandas"} & set(sys.modules)))
"""
COMMANDS = {
    "status": 0,
    "failures": 0,
    "verify": 2,
    "annotate nosuch": 2,
    "annotate few.yaml --set run.worker=2": 2,
}


def test_neither_networks_nor_a_server_are_imported(tmp_path):
    write_project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *COMMANDS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("code ")]
    assert told == [f"code {code}" for code in COMMANDS.values()], done.stderr


def test_a_project_without_labels_is_told_how_to_make_them(tmp_path, monkeypatch):
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["verify"])
    assert answer.exit_code == 2
    assert answer.stderr == f"pear: There are no labels in {tmp_path / 'labels'} yet (pear annotate makes them).\n"
