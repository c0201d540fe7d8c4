"""The three laws of the house: imports point down, nothing untrusted is unpickled, no word about this machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "datasets_manifest": set(),
    "model": {"datasets_manifest"},
    "fitting": {"model", "datasets_manifest"},
    "tasks": {"fitting", "model", "datasets_manifest"},
    "flows": {"tasks", "fitting", "model", "datasets_manifest"},
}
"""Package -> packages it may import."""
SOURCES = [path for package in BELOW for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """Top-level packages that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", BELOW)
def test_imports_point_down(package):
    for path in (ROOT / package).rglob("*.py"):
        upward = set(imported(path)) & (set(BELOW) - BELOW[package] - {package})
        assert not upward, f"{path.relative_to(ROOT)} imports {', '.join(upward)}"


def test_only_flows_know_prefect():
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] != "flows":
            assert "prefect" not in set(imported(path)), path


def test_one_module_unpickles():
    for path in SOURCES:
        if path.relative_to(ROOT).as_posix() == "model/body/restricted_pickle.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"allow_pickle\s*=\s*True|weights_only\s*=\s*False", text), path
        assert not {"pickle", "joblib", "dill", "cloudpickle"} & set(imported(path)), path


def test_no_room_without_a_name():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in SOURCES if path.stem in vague]


def test_tracked_files_name_no_folder_of_a_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in {".npz", ".png", ".jpg"} or not path.is_file() or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"(?<![\w.])/(home|root|Users|work)/\w+/", text), name


ENGINE_KNOWS = (
    "tasks.training.engine.",
    "tasks.settings",
    "datasets_manifest.",
    "model.batches",
    "model.execution",
    "model.tensor_file",
)
"""What the training engine may import of this house: nothing that is trained."""


def test_the_training_engine_knows_no_experiment():
    for path in (ROOT / "tasks/training/engine").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            own = [name for name in names if name.partition(".")[0] in BELOW]
            assert not [name for name in own if not name.startswith(ENGINE_KNOWS)], path
