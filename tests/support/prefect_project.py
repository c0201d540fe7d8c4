"""A project folder for tests: the project's own prefect.yaml, and a flow of the same name that does next to nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

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
        futures = [hands.submit(dataset, index) for index in range(overrides.get("shards", 2))]
        for future in futures:
            future.result()
'''

STAND_IN_TRAINING = '''
"""Same name and parameters as a training flow of the project; does nothing."""
from prefect import flow


@flow(name="{name}")
def {function}(params: str = "params.yaml", overrides: dict | None = None):
    return params
'''


def make_project(root: Path) -> Path:
    """A folder with the project's own prefect.yaml and settings, and the stand-in flows."""
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "annotate.py").write_text(STAND_IN_FLOW, encoding="utf-8")
    for deployment in yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]:
        file, function = deployment["entrypoint"].split(":")
        if file != "flows/annotate.py":
            with (root / file).open("a", encoding="utf-8") as stand_ins:
                stand_ins.write(STAND_IN_TRAINING.format(name=function.replace("_", "-"), function=function))
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, root / name)
    return root
