"""Settings are read, and what is done is looked up, without the packages that do the work."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "prefect", "dvc", "mediapipe", "matplotlib")


@pytest.mark.parametrize(
    "module",
    [
        "tasks.annotate.settings",
        "tasks.annotate.look.status",
        "tasks.annotate.workspace",
        "tasks.predict.settings",
        "tasks.training.regressor.settings",
        "flows.cli.app",
    ],
)
def test_a_module_that_only_reads_imports_no_heavy_package(module):
    said = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == []


@pytest.mark.parametrize("module", ["fitting.refine", "model.regressor.network", "model.body.ehms"])
def test_fitting_and_model_do_without_pydantic(module):
    said = f"import sys; sys.modules['pydantic'] = None; import {module}"
    subprocess.run([sys.executable, "-c", said], check=True, timeout=120)
