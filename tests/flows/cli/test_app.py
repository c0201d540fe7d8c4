"""The command itself: its version, and what a shell completes."""

from typer.testing import CliRunner

from flows.cli.app import app
from tasks.version import code_version


def test_version_is_the_one_that_footers_state():
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.stdout) == (0, f"pear {code_version()}\n")


def test_a_shell_completes_commands():
    asked = {"_PEAR_COMPLETE": "complete_bash", "COMP_WORDS": "pear ann", "COMP_CWORD": "1"}
    assert CliRunner().invoke(app, [], prog_name="pear", env=asked).stdout.split() == ["annotate"]
