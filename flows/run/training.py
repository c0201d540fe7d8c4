"""The order of a training: people, processes, results. Knows no Prefect; the flow hands in how a stage is run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flows.run.torchrun import Progress, run_processes
from tasks.training.engine.prepared import PreparedRun, TrainResult

Stage = Callable[[str, Callable[[], Any]], Any]
"""Runs a function under a name and returns what it returns."""


def run_training(
    prepare: Callable[[], PreparedRun],
    log: logging.Logger | logging.LoggerAdapter,
    *,
    stage: Stage = lambda _name, function: function(),
    on_progress: Progress | None = None,
) -> TrainResult:
    """Checks everything, trains what is left to train, publishes the results.

    Args:
        prepare: Checks settings and inputs, and writes what the processes of the experiment are told.
        log: Receives the progress.
        stage: See ``Stage``.
        on_progress: Takes steps done and steps in all.

    Raises:
        ValueError: Something that a person can mend, in one sentence.
        TrainingFailed: The processes ended in another way.
    """
    run: PreparedRun = stage("people", prepare)
    for line in run.lines:
        log.info("%s", line)
    if run.is_finished:
        log.info("the run in %s has finished already", run.folder.root)
    else:
        stage(
            f"train/{run.folder.root.name}",
            lambda: run_processes(run.module, run.folder, run.processes, log, on_progress),
        )
    return stage("publish", run.publish)
