"""What the README tells people to type exists."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datasets_manifest.manifest import manifest_ids
from flows.cli.app import app
from model.estimators import create
from model.licensed_files import OFFICIAL
from tasks.annotate.settings import load_config

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


def test_official_body_files_are_named_by_their_flags_and_places():
    command = SHELL.partition("-m model.body.convert ")[2].partition(".venv")[0]
    given = re.findall(r"(--[\w-]+) \$in/(\S+)", command)
    table = {asset.flag: asset.place for asset in OFFICIAL}
    assert {flag: f"official/{name}" for flag, name in given} == {flag: table[flag] for flag, _ in given}
    assert {asset.flag for asset in OFFICIAL if not asset.optional} <= {flag for flag, _ in given}


def test_backends_that_are_swapped_in_the_recipe_fit_it():
    swaps = re.findall(r"`--set (\w+\.backend)=(\w+)`", README)
    assert len(swaps) >= 3
    for name, backend in swaps:
        part = name.partition(".")[0]
        options = getattr(load_config(ROOT / "params.paper.yaml", {name: backend}), part).options
        try:
            create(part, backend, **options)
        except ValueError as error:  # Nobody's weights need to be here, but nothing else may be wrong.
            if str(ROOT / "licensed" / backend) not in str(error):
                raise


def test_ci_runs_the_readmes_own_test_command():
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test" in ci
    assert re.search(r"^make test", SHELL, re.MULTILINE)
