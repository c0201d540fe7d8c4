"""The order of a training: people, processes, results. Knows no Prefect; the flow hands in how a stage is run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from flows.torchrun import Progress, run_processes
from tasks.files import write_text
from tasks.training.plan import TrainingPlan, open_plan
from tasks.training.publish import TrainResult, publish_run
from tasks.training.settings import TrainConfig, to_plain

Stage = Callable[[str, Callable[[], Any]], Any]
"""Runs a function under a name and returns what it returns."""


def run_training(
    config: TrainConfig,
    log: logging.Logger | logging.LoggerAdapter,
    *,
    stage: Stage = lambda _name, function: function(),
    on_progress: Progress | None = None,
) -> TrainResult:
    """Checks everything, trains what is left to train, publishes the results.

    Args:
        config: All settings.
        log: Receives the progress.
        stage: See ``Stage``.
        on_progress: Takes steps done and steps in all.

    Raises:
        ValueError: Something that a person can mend, in one sentence.
        TrainingFailed: The processes ended in another way.
    """
    plan: TrainingPlan = stage("people", lambda: open_plan(config))
    for line in plan.lines():
        log.info("%s", line)
    if is_finished(plan):
        log.info("the run in %s has finished already", plan.folder.root)
    else:
        plan.folder.summary.unlink(missing_ok=True)
        write_text(plan.folder.request, json.dumps(to_plain(config), indent=1) + "\n")
        stage(
            f"train/{plan.folder.root.name}",
            lambda: run_processes(plan.folder, config.run.processes, log, on_progress),
        )
    return stage("publish", lambda: publish_run(plan.folder, config.output))


def is_finished(plan: TrainingPlan) -> bool:
    """Whether the run of these settings has been trained to its end."""
    if not plan.folder.summary.is_file():
        return False
    return json.loads(plan.folder.summary.read_text(encoding="utf-8"))["steps"] >= plan.config.steps
