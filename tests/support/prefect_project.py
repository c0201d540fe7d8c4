"""A project folder for tests: the project's own prefect.yaml, and a flow of the same name that does next to nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).parents[2]

STAND_IN_FLOW = '''
"""Same name and parameters as the flow of the project, with tasks that do next to nothing."""
import time

from prefect import flow, task


@task(task_run_name="hands/{dataset}/{index:05d}")
def hands(dataset, index):
    if dataset == "broken" and index == 1:
        raise RuntimeError("disk on fire")


@flow(name="annotate-part-labels")
def annotate_part_labels(datasets: list[str] | None = None, params: str = "params.yaml",
                         overrides: dict | None = None, shards: list[str] | None = None,
                         again: bool = False, replace: bool = False):
    overrides = overrides or {}
    time.sleep(overrides.get("sleep", 0))
    for dataset in datasets or ["toy"]:
        futures = [hands.submit(dataset, index) for index in range(2)]
        for future in futures:
            future.result()
'''

STAND_IN_TRAINING = '''
"""Same name and parameters as the training flow of the project; does nothing."""
from prefect import flow


@flow(name="train-regressor")
def train_regressor(params: str = "params.train.yaml", overrides: dict | None = None):
    return params


@flow(name="train-photometric")
def train_photometric(params: str = "params.photometric.yaml", overrides: dict | None = None):
    return params
'''


def make_project(root: Path) -> Path:
    """A folder with the project's own prefect.yaml and settings, and the stand-in flows."""
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "annotate.py").write_text(STAND_IN_FLOW, encoding="utf-8")
    (root / "flows" / "train.py").write_text(STAND_IN_TRAINING, encoding="utf-8")
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, root / name)
    return root
