"""The order of a training: people, processes, results. Knows no Prefect; the flow hands in how a stage is run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from datasets_manifest.files import write_text
from flows.run.torchrun import Progress, run_processes
from tasks.training.engine.checkpoints import list_states
from tasks.training.regressor.plan import TrainingPlan, open_plan
from tasks.training.regressor.publish import TrainResult, publish_run
from tasks.training.regressor.settings import TrainConfig, to_plain

MODULE = "tasks.training.regressor"
"""What each process of a training runs."""

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
            lambda: run_processes(MODULE, plan.folder, config.run.processes, log, on_progress),
        )
    return stage("publish", lambda: publish_run(plan.folder, config.output))


def is_finished(plan: TrainingPlan) -> bool:
    """Whether the run of these settings has been trained to its end.

    Raises:
        ValueError: It has been trained beyond that.
    """
    done = 0
    if plan.folder.summary.is_file():
        done = json.loads(plan.folder.summary.read_text(encoding="utf-8"))["steps"]
    steps = plan.config.steps
    reached = max([done, *(step for step, _ in list_states(plan.folder.checkpoints))])
    if reached > steps:
        raise ValueError(
            f"steps: the run in {plan.folder.root} has been trained for {reached} steps, {steps} cannot be had from "
            f"it; set steps to {reached} or more, or name another folder with output.runs"
        )
    return done == steps
