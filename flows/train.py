"""Trainings as Prefect flows, labels in, one network out: train-regressor (stage 1), train-photometric (stage 2).

    people -> train/<run> -> publish

The flows only wrap plain functions: the order is in ``flows.run.training``, the work in ``tasks.training``, the truth
on disk. The training runs in processes of its own, started by torchrun; they end when the flow run does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.states import Completed, Failed

from datasets_manifest.files import WriteError
from flows.run.mistakes import MISTAKES
from flows.run.own_run import remember
from flows.run.torchrun import TrainingFailed
from flows.run.train_artifacts import publish_train_artifacts
from flows.run.training import run_training
from flows.server.provision import GPU_LEASE_S, GPU_LIMIT
from tasks.display import Display, Lines
from tasks.settings import Device, uses_gpu
from tasks.training.engine.config import EngineConfig
from tasks.training.engine.prepared import PreparedRun
from tasks.training.photometric.request import prepare as prepare_photometric
from tasks.training.photometric.settings import load_photometric_config
from tasks.training.regressor.request import prepare
from tasks.training.regressor.settings import load_train_config

FLOW_NAME = "train-regressor"
PHOTOMETRIC_FLOW_NAME = "train-photometric"
Config = TypeVar("Config", bound=EngineConfig)
PROGRESS_S = 10.0
"""Shortest time between two looks of the progress bar."""


def run_stage(name: str, function: Callable[[], Any]) -> Any:
    """Runs a function as a task run of that name."""
    wrap = task(name=name.split("/")[0], task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    return wrap(function)()


def gpu_slot(device: Device) -> AbstractContextManager[None]:
    """Waits for a GPU slot of the server and keeps it, if that device is a GPU."""
    return concurrency(GPU_LIMIT, occupy=1, lease_duration=GPU_LEASE_S) if uses_gpu(device) else nullcontext()


class ProgressBar:
    """The share of the steps that is done, on the page of the flow run."""

    def __init__(self) -> None:
        self._artifact: Any = None
        self._last = 0.0

    def __call__(self, step: int, total: int) -> None:
        """Moves the bar, not more often than every ``PROGRESS_S``."""
        share = 100.0 * step / total
        if self._artifact is None:
            self._artifact = create_progress_artifact(progress=share, description="steps of the training")
        elif step == total or time.monotonic() - self._last >= PROGRESS_S:
            update_progress_artifact(artifact_id=self._artifact, progress=share)
        else:
            return
        self._last = time.monotonic()


@flow(name=FLOW_NAME, persist_result=False, on_running=[remember])
def train_regressor(params: str = "params.train.yaml", overrides: dict[str, Any] | None = None) -> Any:
    """Trains the regressor on published labels, or goes on where the run of the same settings stopped.

    Args:
        params: Settings file with a section ``train``.
        overrides: Dotted setting to value, for example ``{"steps": 1000}``.
    """
    return train(lambda: load_train_config(params, overrides), prepare)


@flow(name=PHOTOMETRIC_FLOW_NAME, persist_result=False, on_running=[remember])
def train_photometric(params: str = "params.photometric.yaml", overrides: dict[str, Any] | None = None) -> Any:
    """Trains a regressor of stage 1 on by pixels, or goes on where the run of the same settings stopped.

    Args:
        params: Settings file with a section ``train_photometric``.
        overrides: Dotted setting to value, for example ``{"steps": 1000}``.
    """
    return train(lambda: load_photometric_config(params, overrides), prepare_photometric)


def train(load: Callable[[], Config], prepare: Callable[[Config, Display], PreparedRun]) -> Any:
    """A training inside a flow run: its state says how it went, its page shows what came of it.

    Args:
        load: Reads all settings.
        prepare: Checks them and writes what the processes of the training are told.
    """
    try:
        config = load()
        with gpu_slot(config.run.device):
            log = get_run_logger()
            result = run_training(lambda: prepare(config, Lines(log)), log, stage=run_stage, on_progress=ProgressBar())
    except (*MISTAKES, WriteError, TrainingFailed) as error:
        return Failed(message=str(error))
    publish_train_artifacts(result)
    return Completed(message=result.sentence)
