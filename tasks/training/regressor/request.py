"""From settings to what the processes of a training are given: labels are read and checked once, by who starts them.

run.json          settings, places of the photos, body, hashes
selection.arrow   the selected labels, which every process maps
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pyarrow as pa

from datasets_manifest.files import sweep_temporary, write_text
from tasks.display import Display
from tasks.training.engine.config import from_plain, to_plain
from tasks.training.engine.prepared import PreparedRun, prepare_run
from tasks.training.engine.run_folder import RunFolder
from tasks.training.labelled_photos import read_labelled, write_labelled
from tasks.training.regressor.plan import TrainingPlan, open_plan
from tasks.training.regressor.publish import publish_run
from tasks.training.regressor.settings import TrainConfig

MODULE = "tasks.training.regressor"
"""What each process of the training runs."""


def prepare(config: TrainConfig, display: Display | None = None) -> PreparedRun:
    """Checks everything that a training needs and writes its request, unless it has finished already.

    Args:
        config: All settings.
        display: See ``open_plan``.

    Raises:
        ValueError: See ``open_plan``; or the run has been trained beyond the steps of the settings.
    """
    prepared = prepare_plan(open_plan(config, display), MODULE)
    pa.default_memory_pool().release_unused()  # the labels, which this process needs no more
    return prepared


def prepare_plan(plan: TrainingPlan, module: str) -> PreparedRun:
    """Writes the request of a training of the regressor, unless it has finished already.

    Args:
        plan: What is trained.
        module: What each process runs.

    Raises:
        ValueError: The run has been trained beyond the steps of the settings.
    """
    publish = partial(publish_run, plan.folder, plan.config.output, plan.config.section)
    return prepare_run(plan, module, lambda: write_request(plan), publish)


def write_request(plan: TrainingPlan) -> None:
    """Writes selection and request into the run's folder; those that were there are replaced."""
    if plan.folder.root.is_dir():
        sweep_temporary(plan.folder.root, recursive=False)
    request = {
        "experiment": plan.folder.network,
        "run_hash": plan.run_hash,
        "body_model": dict(plan.body_model),
        **write_labelled(plan.folder.selection, plan.training, plan.validation),
        "settings": to_plain(plan.config),
    }
    write_text(plan.folder.request, json.dumps(request, indent=1) + "\n")


def read_request(path: Path, kind: type[TrainConfig] = TrainConfig) -> TrainingPlan:
    """The plan of a request; its labels stay in the file.

    Args:
        path: Of the request.
        kind: Of which training.

    Raises:
        ValueError: A setting is out of range, the selection is gone or another one, or a place of photos is gone.
    """
    request = json.loads(path.read_text(encoding="utf-8"))
    config = from_plain(request["settings"], kind)
    folder = RunFolder(root=path.parent, network=request["experiment"])
    training, validation = read_labelled(folder.selection, request)
    return TrainingPlan(
        config=config,
        training=training,
        validation=validation,
        body_model=request["body_model"],
        run_hash=request["run_hash"],
    )
