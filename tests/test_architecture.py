"""The three laws of the house: imports point down, nothing untrusted is unpickled, no word about this machine."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from benchmarks.carried import CARRIED, PRESENT

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "datasets_manifest": set(),
    "model": {"datasets_manifest"},
    "fitting": {"model", "datasets_manifest"},
    "tasks": {"fitting", "model", "datasets_manifest"},
    "flows": {"tasks", "fitting", "model", "datasets_manifest"},
}
"""Package -> packages it may import."""
ROOMS = {
    "datasets_manifest": {
        "schema": set(),
        "stores": {"paths", "store_answers"},
        "files": {"paths", "stores"},
        "restricted_pickle": {"pickle_bounds"},
        "settings": {"paths", "yaml_values"},
        "sources": {"paths", "schema", "stores"},
        "placed_settings": {"paths", "settings", "stores"},
        "sittings": {"files", "paths"},
        "reviews": {"schema", "sittings"},
        "corrections": {"canonical", "paths", "schema", "sittings"},
        "shards": {"canonical", "files", "placed_settings", "reviews", "schema", "settings", "source_date", "stores"},
        "adapters": {
            *("numpy_files", "paths", "restricted_pickle", "schema", "settings", "shards", "sources", "yaml_values"),
        },
        "named_sources": {"paths", "stores"},
        "manifest": {
            *("adapters", "canonical", "named_sources", "paths", "schema", "settings", "sources", "stores"),
            "yaml_values",
        },
        "never_train": {"adapters", "manifest", "named_sources", "stores"},
        "catalogue": {"adapters", "manifest", "named_sources", "paths", "schema"},
    },
    "model": {
        "body": {"rotations"},
        "networks": {"rotations"},
        "imaging": {"rotations"},
        "metrics": {"body"},
        "renderer": {"batches", "body", "imaging", "networks", "tensor_file", "weights"},
        "estimators": {"body", "imaging", "networks", "rotations", "weights"},
        "licensed_files": {"estimators", "weights"},
        "regressor": {
            *("batches", "body", "estimators", "execution", "imaging", "networks", "renderer", "rotations"),
            *("tensor_file", "weights"),
        },
    },
    "tasks": {
        "body_model": {"settings"},
        "estimators": {"settings"},
        "evaluate": {"body_model", "display", "lenses", "metric_files", "posing", "settings", "synthetic"},
        "lineage": {"snapshots", "wording"},
        "snapshots": {"version", "wording"},
        "review": {"version"},
        "view": {
            *("annotate", "annotate.plan", "annotate.steps", "body_model", "evaluate", "lenses", "posing", "report"),
            *("review", "version", "wording"),
        },
        "compare": {"evaluate", "posing", "report"},
        "stats": {"posing", "report"},
        "export": {"body_model", "display", "lenses", "posing", "settings", "tracks", "wording"},
        "report": {"lenses", "posing", "tracks"},
        "synthetic": {"display", "posing", "revisions", "version"},
        "people_renderer": {"body_model", "settings"},
        "annotate": {
            *("body_model", "estimators", "people_renderer", "revisions", "settings", "tracks", "version", "wording"),
        },
        "annotate.steps": {"annotate", "body_model", "estimators", "lenses", "people_renderer", "settings", "tracks"},
        "annotate.plan": {"annotate", "body_model", "synthetic", "version", "wording"},
        "annotate.look": {"annotate", "annotate.plan", "body_model", "display", "report", "wording"},
        "annotate.run": {
            *("annotate", "annotate.look", "annotate.plan", "annotate.steps", "body_model", "display", "evaluate"),
            *("metric_files", "posing", "report", "version", "wording"),
        },
        "predict": {
            *("body_model", "display", "estimators", "film", "people_renderer", "revisions", "settings", "tracks"),
            "version",
        },
        "training.engine": {"metric_files", "settings"},
        "training.labelled_photos": set(),
        "training.renderer": {
            *("body_model", "display", "metric_files", "posing", "revisions", "settings", "synthetic"),
            *("training.labelled_photos", "version"),
        },
        "training.guava": {
            *("body_model", "display", "revisions", "settings", "training.engine", "training.labelled_photos"),
            "version",
        },
        "training.regressor": {
            *("body_model", "display", "revisions", "settings", "synthetic", "training.engine"),
            *("training.labelled_photos", "version"),
        },
        "training.comparison": {
            *("body_model", "display", "metric_files", "settings", "training.engine", "training.photometric"),
            "training.regressor",
        },
        "training.photometric": {"display", "training.engine", "training.labelled_photos", "training.regressor"},
    },
    "flows": {
        "run": {"server"},
        "annotate": {"run", "server"},
        "train": {"run", "server"},
        "renderer": {"run", "train"},
        "evaluate": {"run", "train"},
        "cli": {"annotate", "evaluate", "renderer", "run", "server", "train"},
    },
}
"""Package -> room (a folder or a file in it) -> the other rooms of the package that it may import; others: none."""
SOURCES = [path for package in BELOW for path in sorted((ROOT / package).rglob("*.py"))]


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (*SOURCES, *sorted((ROOT / "benchmarks").rglob("*.py")))
}


@cache
def imports(path: Path, *, whole: bool, types: bool = True) -> tuple[str, ...]:
    """Modules that a file imports; whole: inside functions too, else when it is imported itself; types: also what is
    imported for the type checker alone."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8")), whole, types))


def _imports(tree: ast.AST, whole: bool, types: bool) -> Iterator[str]:
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)
        elif not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
        elif whole or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)


def imported(path):
    """Top-level packages that a file imports, inside functions too."""
    return (name.partition(".")[0] for name in imports(path, whole=True))


def room_of(module: str) -> str:
    """The room inside its package: a file or a folder; the folders of ``annotate`` and ``training`` are rooms too."""
    package, *parts = module.split(".")
    nested = ".".join(parts[:2])
    return nested if nested in ROOMS.get(package, ()) else ".".join(parts[:1])


@pytest.mark.parametrize("package", BELOW)
def test_imports_point_down(package):
    for path in (ROOT / package).rglob("*.py"):
        upward = set(imported(path)) & (set(BELOW) - BELOW[package] - {package})
        assert not upward, f"{path.relative_to(ROOT)} imports {', '.join(upward)}"


def test_no_modules_import_each_other():
    graph = {name: {i for i in imports(path, whole=False) if i in MODULES} - {name} for name, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_along_the_arrows_of_the_table(package):
    TopologicalSorter(ROOMS[package]).prepare()
    for module, path in MODULES.items():
        if module.partition(".")[0] != package:
            continue
        here = room_of(module)
        for name in imports(path, whole=True):
            if name in MODULES and name.startswith(f"{package}."):
                there = room_of(name)
                assert there in {here, *ROOMS[package].get(here, ())}, f"{module} imports {name}"


def loaded(*modules: str) -> Iterator[tuple[str, set[str]]]:
    """The modules that are imported with some, and the packages of others that each of them imports."""
    seen, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            names = set(imports(MODULES[module], whole=False, types=False))
            own = {name for name in names if name in MODULES}
            yield module, {name.partition(".")[0] for name in names - own}
            parents = {name.rpartition(".")[0] for name in own} & MODULES.keys()
            waiting += own | parents


def test_the_run_for_a_gpu_imports_torch_numpy_and_what_is_carried():
    """Said here at once, with the module at fault; tests/benchmarks/test_gpu.py runs it without the others."""
    known = sys.stdlib_module_names | {*PRESENT, *CARRIED}
    found = dict(loaded("benchmarks.gpu"))
    for module, foreign in found.items():
        assert foreign <= known, (
            f"{module} imports {', '.join(foreign - known)}, which a machine with a GPU may not have"
        )
    assert "fitting.refine" in found


def test_settings_pages_and_plans_are_there_before_torch_which_takes_seconds():
    of_others = ("tasks.annotate.settings", "tasks.annotate.plan.plan", "tasks.view.app", "tasks.view.state")
    for module, foreign in loaded(*of_others):
        assert "torch" not in foreign, f"{module} imports torch: import it in the function that needs it"


def test_looking_decodes_no_photo_and_needs_no_store():
    for module, foreign in loaded("flows.cli.app", "tasks.annotate.look.status", "tasks.annotate.look.corrections"):
        assert not foreign & {"cv2", "upath", "torch"}, f"{module} imports what takes longer than pear status"


def test_only_flows_know_prefect():
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] != "flows":
            assert "prefect" not in set(imported(path)), path


def test_one_module_unpickles():
    for path in SOURCES:
        if path.relative_to(ROOT).as_posix() == "datasets_manifest/restricted_pickle.py":
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
    "tasks.metric_files",
    "tasks.settings",
    "datasets_manifest.",
    "model.batches",
    "model.execution",
    "model.tensor_file",
)
"""What the training engine may import of this house: nothing that is trained."""


def test_the_training_engine_knows_no_experiment():
    for path in (ROOT / "tasks/training/engine").glob("*.py"):
        own = [name for name in imports(path, whole=True) if name.partition(".")[0] in BELOW]
        assert not [name for name in own if not name.startswith(ENGINE_KNOWS)], path
