"""What the pages tell people to type, to read or to import exists: README, CONTRIBUTING, SECURITY and docs/."""

import ast
import importlib.util
import itertools
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from pages import blocks, command_lines

from datasets_manifest.manifest import manifest_ids
from flows.cli.app import app
from flows.cli.command_line import parse_settings
from model.estimators import create
from model.licensed_files.bodies import OFFICIAL
from tasks.annotate.settings import load_config
from tasks.estimators import checked_options

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
README = PAGES["README.md"]
PACKAGES = ("flows", "tasks", "fitting", "model", "datasets_manifest", "benchmarks")
FOLDERS = (*PACKAGES, "docs", "tests", "examples")
MADE = {"my_manifest.yaml", "benchmark.md"}
"""Files that a reader or a command makes."""
COMMANDS = typer.main.get_command(app).commands


def shell_lines(text):
    """Commands of a page, each on one line without comment; blocks of bash and lines that are indented."""
    indented = re.findall(r"^    (?=python |pear )(.*)$", text, re.M)
    return command_lines("\n".join([*blocks(text, "bash"), *indented]))


def pages_with(pattern):
    """Names of the pages in which a pattern occurs."""
    return [name for name in NAMES if re.search(pattern, PAGES[name])]


def calls(name, program):
    """Arguments of every call of a program in the commands of a page."""
    return [shlex.split(at[1]) for line in shell_lines(PAGES[name]) if (at := re.search(program + r"\s+(.+)", line))]


@pytest.mark.parametrize("name", pages_with(r"pear \w"))
def test_pear_commands_and_their_options_exist(name):
    for command, *arguments in calls(name, r"^(?:\S*/)?pear"):
        options = {option for param in COMMANDS[command].params for option in (*param.opts, *param.secondary_opts)} | {
            "--help"
        }
        used = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
        assert used <= options, f"pear {command}: {used - options}"


@pytest.mark.parametrize("name", pages_with(r"pear annotate .*--set"))
def test_settings_of_commands_are_accepted(name):
    for command, *arguments in calls(name, r"^(?:\S*/)?pear"):
        if command == "annotate":
            given = [value for option, value in itertools.pairwise(arguments) if option == "--set"]
            load_config(ROOT / "params.yaml", parse_settings(given, ROOT / "params.yaml"))


@pytest.mark.parametrize("name", pages_with(r"python -m "))
def test_modules_that_are_run_exist_with_their_options(name):
    for module, *arguments in calls(name, r"python -m"):
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        if module.split(".")[0] in PACKAGES:
            source = "".join(path.read_text() for path in Path(spec.origin).parent.glob("*.py"))
            missing = [a for a in arguments if a.startswith("--") and f'"{a}"' not in source]
            assert not missing, f"{module}: {missing}"


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target for text in PAGES.values() for target in re.findall(r"(?m)(?:^|`)make (\w+)", text)}
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


@pytest.mark.parametrize("name", NAMES)
def test_paths_and_links_exist(name):
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./]*|[\w.-]+\.(?:yaml|toml|md|lock))`", PAGES[name])
    absent = [path for path in named if path not in MADE and not (ROOT / path).exists()]
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", PAGES[name])
    absent += [link for link in links if not ((ROOT / name).parent / link).exists()]
    assert not absent


@pytest.mark.parametrize("name", pages_with(rf"`(?:{'|'.join(PACKAGES)})\."))
def test_names_of_the_code_exist(name):
    for dotted in set(re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", PAGES[name])):
        pkgutil.resolve_name(dotted)


@pytest.mark.parametrize("name", pages_with("```python"))
def test_python_compiles_and_finds_what_it_imports(name):
    for block in blocks(PAGES[name], "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in PACKAGES:
                for alias in node.names:
                    pkgutil.resolve_name(f"{node.module}:{alias.name}")


@pytest.mark.parametrize("name", NAMES)
def test_no_command_or_snippet_leaves_something_out(name):
    snippets = re.findall(r"```(?:bash|python)\n(.*?)```", PAGES[name], re.DOTALL)
    assert not [snippet for snippet in snippets if "..." in snippet.replace("...)  #", "")]


def test_manifests_that_are_named_exist():
    named = {call[1] for name in NAMES for call in calls(name, r"bin/pear") if call[0] == "annotate" and call[1:]}
    assert named
    paths = (".yaml", ".mp4", "/", "/path/to/folder")
    assert {name for name in named if not name.endswith(paths)} <= set(manifest_ids())


def test_official_body_files_are_named_by_their_flags_and_places():
    command = "\n".join(PAGES["docs/licensed_files.md"].partition("-m model.body.convert ")[2].splitlines()[:6])
    given = re.findall(r"(--[\w-]+) \$in/(\S+)", command)
    table = {asset.flag: asset.place for asset in OFFICIAL}
    assert {flag: f"official/{name}" for flag, name in given} == {flag: table[flag] for flag, _ in given}
    assert {asset.flag for asset in OFFICIAL if not asset.optional} <= {flag for flag, _ in given}


def test_backends_that_are_swapped_in_the_recipe_fit_it():
    swaps = re.findall(r"`--set (\w+\.backend)=(\w+)`", PAGES["docs/licensed_files.md"])
    assert len(swaps) >= 3
    for name, backend in swaps:
        part = name.partition(".")[0]
        config = getattr(load_config(ROOT / "params.paper.yaml", {name: backend}), part)
        try:
            create(part, backend, **checked_options(part, config))
        except ValueError as error:  # Nobody's weights need to be here, but nothing else may be wrong.
            if str(ROOT / "licensed" / backend) not in str(error):
                raise


def test_readme_is_short_and_ci_runs_its_commands():
    assert len(README.splitlines()) <= 150
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test" in ci
    assert "make docs" in ci
    assert "make test" in shell_lines(README)
