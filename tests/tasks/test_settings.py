"""Settings are read, and what is done is looked up, without the packages that do the work."""

import subprocess
import sys

HEAVY = ("torch", "prefect", "dvc", "mediapipe", "matplotlib")


READERS = (
    "tasks.annotate.settings",
    "tasks.annotate.look.status",
    "tasks.annotate.workspace",
    "tasks.predict.settings",
    "tasks.training.regressor.settings",
    "flows.cli.app",
)


def test_modules_that_only_read_import_no_heavy_package():
    said = f"""
import importlib, sys
for module in {READERS}:
    importlib.import_module(module)
    print(*(f"{{module}} has {{name}}" for name in {HEAVY} if name in sys.modules), end="")
"""
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == ""


def test_fitting_and_model_do_without_pydantic():
    said = "import sys; sys.modules['pydantic'] = None; import fitting.refine, model.regressor.network, model.body.ehms"
    subprocess.run([sys.executable, "-c", said], check=True, timeout=120)
