"""The command itself: its version, and what a shell completes."""

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from tasks.version import code_version


def test_version_is_the_one_that_footers_state():
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.stdout) == (0, f"pear {code_version()}\n")


def test_a_shell_completes_commands():
    asked = {"_PEAR_COMPLETE": "complete_bash", "COMP_WORDS": "pear ann", "COMP_CWORD": "1"}
    assert CliRunner().invoke(app, [], prog_name="pear", env=asked).stdout.split() == ["annotate"]


@pytest.mark.parametrize("words", [["status"], ["annotate", "nosuch"]])
def test_a_date_that_is_none_is_one_sentence_before_any_work(words):
    answer = CliRunner().invoke(app, words, env={"SOURCE_DATE_EPOCH": "abc"})
    assert answer.exit_code == 2
    assert answer.stderr.startswith("pear: The environment's SOURCE_DATE_EPOCH is 'abc', expected whole seconds")
    assert answer.stderr.count("\n") == 1
