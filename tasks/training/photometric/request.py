"""From settings to what the processes of stage 2 are given, once its start has been looked at."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from model.body.keypoint_body import KeypointBody
from model.renderer.splat import native_library
from tasks.display import Display
from tasks.training.engine.checkpoints import list_states
from tasks.training.engine.distributed import choose_device
from tasks.training.engine.prepared import PreparedRun
from tasks.training.photometric.experiment import PhotometricExperiment, open_photometric
from tasks.training.photometric.gate import PEOPLE, check_start, measure_start
from tasks.training.photometric.settings import PhotometricTrainConfig
from tasks.training.regressor.plan import TrainingPlan, open_plan
from tasks.training.regressor.request import prepare_plan
from tasks.training.regressor.start import first_weights

MODULE = "tasks.training.photometric"
"""What each process of the training runs."""


def prepare(config: PhotometricTrainConfig, display: Display | None = None) -> PreparedRun:
    """Checks everything that a training needs and writes its request, unless it has finished already.

    A run that has not made a step yet is looked at: whether its regressor is aligned well enough.

    Raises:
        ValueError: See ``open_plan`` and ``check_start``; or the run has been trained beyond the steps of the settings.
        ImportError: The rasteriser cannot be built here.
    """
    if config.photometric.rasteriser == "native":
        native_library.library()  # built or refused now, once, not by each process after people have been rendered
    plan = open_plan(config, display)
    is_new = not plan.folder.summary.is_file() and not list_states(plan.folder.checkpoints)
    said = _look(plan, config) if is_new else []
    prepared = prepare_plan(plan, MODULE)
    del plan
    pa.default_memory_pool().release_unused()  # the labels, which this process needs no more
    return dataclasses.replace(prepared, lines=[*prepared.lines, *said])


def _look(plan: TrainingPlan, config: PhotometricTrainConfig) -> list[str]:
    """How well the regressor is aligned before the first step, for a log."""
    experiment = PhotometricExperiment(plan)
    if experiment.validation is None:
        raise ValueError(
            "validation: stage 2 looks at held-out people before its first step, and nobody is held out; name a "
            "validation set, or set validation_share or synthetic.validation"
        )
    open_photometric(plan)  # its files are wrong now, not after minutes
    device = choose_device(config.run.device, 0)
    network = first_weights(config, experiment.training).to(device)
    body = KeypointBody(plan.assets, config.network.size).to(device)
    people = experiment.validation.spread(PEOPLE)
    return check_start(measure_start(network, body, people, config.parts), config.max_start)
