"""A project folder whose few rendered people are annotated with simulated estimators."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.run.orchestrate import run
from flows.run.result import RunResult
from flows.run.runners import LocalRunner
from tasks.annotate.settings import Origin

PEOPLE = 4
MANIFEST = f"""
id: few
version: "1"
licence: CC0
access: rendered
adapter: synthetic
root: unused
split: all
layout: {{count: {PEOPLE}, seed: 3}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""
LOG = logging.getLogger("test")


def write_project(folder: Path, people_of: Path | None = None) -> Path:
    """Writes manifest and settings; returns the settings file. The people may be those of another such file."""
    if people_of is not None:
        shutil.copytree(people_of.parent / "work/datasets", folder / "work/datasets")
    (folder / "few.yaml").write_text(MANIFEST)
    params = folder / "params.yaml"
    params.write_text(
        f"""
annotate:
  datasets: [{folder / "few.yaml"}]
  keypoints: {{backend: simulated}}
  body: {{backend: simulated}}
  hands: {{backend: simulated}}
  face: {{backend: simulated}}
  run: {{images_per_shard: 2, workers: 2, retries: 0}}
"""
    )
    return params


def own_results(project: Path, folder: Path, *, annotated: bool = False) -> dict[str, str]:
    """Settings for ``annotate`` by which results lie below a folder, where the people of the project are rendered.

    There they also are annotated, as in the project, where that is asked for.
    """
    for name in ("work", "labels") if annotated else ("work/datasets",):
        shutil.copytree(project.parent / name, folder / name)
    return {f"output__{name}": str(folder / name) for name in ("labels", "work", "report", "metrics")}


@contextmanager
def step_states() -> Iterator[dict[str, str]]:
    """How the steps of the runs inside ended, as the log says: ``hands/few/all/00000`` to done, skipped or failed."""
    states: dict[str, str] = {}

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg.startswith("%s %s: ") and isinstance(record.args, tuple):
                name, state, *_ = record.args
                states[str(name)] = str(state)

    handler, level = Watch(), LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    try:
        yield states
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


def annotate(params: Path, only: list[str] | None = None, **overrides: object) -> RunResult:
    """Runs the annotation in this process; ``refine__iterations=3`` replaces the setting refine.iterations."""
    origin = Origin.of(params, {key.replace("__", "."): value for key, value in overrides.items()})
    config = origin.config()
    return run(config, lambda _: LocalRunner(config.run, LOG), LOG, only, origin=origin)
