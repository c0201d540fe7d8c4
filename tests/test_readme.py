"""What the README tells people to type exists."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_manifest.manifest import manifest_ids
from flows.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))


@pytest.mark.parametrize("command", sorted(set(re.findall(r"bin/pear (\w+)", SHELL))))
def test_every_pear_command_has_help(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_make_target_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w+)", SHELL, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_path_that_is_named_exists():
    for path in re.findall(r"`([\w./]+/[\w./]+\.(?:py|yaml))`", README) + re.findall(r"\]\((\w[\w./]*)\)", README):
        assert (ROOT / path).exists(), path


def test_manifests_that_are_named_exist():
    named = re.findall(r"pear annotate (\w+)(?= |$)", SHELL, re.MULTILINE)
    assert named
    assert set(named) <= set(manifest_ids())


def test_ci_runs_the_readmes_own_test_command():
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test" in ci
    assert re.search(r"^make test", SHELL, re.MULTILINE)
