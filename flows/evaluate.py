"""Evaluations as Prefect flows: evaluate (checkpoints on the same held-out people), evaluate-benchmarks (checkpoints,
labels and predictions on benchmarks).

The flows only wrap plain functions, ``tasks.training.comparison.compare`` and ``tasks.evaluate.on_benchmarks``.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from datasets_manifest.files import WriteError
from flows.run.benchmarks import benchmark_run
from flows.run.mistakes import MISTAKES
from flows.run.own_run import remember
from flows.train import gpu_slot, run_stage
from tasks.display import Lines
from tasks.evaluate.on_benchmarks import evaluate_on
from tasks.training.comparison import compare, load_settings

FLOW_NAME = "evaluate"
BENCHMARKS_FLOW_NAME = "evaluate-benchmarks"


@flow(name=FLOW_NAME, persist_result=False, on_running=[remember])
def evaluate(checkpoints: list[str], params: str = "params.train.yaml", overrides: dict[str, Any] | None = None) -> Any:
    """Measures regressors on the held-out people of a training, and compares them with the first.

    Args:
        checkpoints: Their files.
        params: Settings file with a section ``train`` or ``train_photometric``.
        overrides: Dotted setting to value, for example ``{"run.device": "cpu"}``.
    """
    try:
        config, root = load_settings(params, overrides)
        with gpu_slot(config.run.device):
            shown = Lines(get_run_logger())
            result = run_stage("compare", lambda: compare(checkpoints, config, root, shown))
    except (*MISTAKES, WriteError) as error:
        return Failed(message=str(error))
    create_markdown_artifact(result.markdown, key=FLOW_NAME, description=result.sentence)
    return Completed(message=result.sentence)


@flow(name=BENCHMARKS_FLOW_NAME, persist_result=False, on_running=[remember])
def evaluate_benchmarks(
    subjects: list[str],
    on: list[str] | None = None,
    params: str = "params.yaml",
    overrides: dict[str, Any] | None = None,
) -> Any:
    """Measures checkpoints, labels and predictions on benchmarks: the paper's tables with ours beside them.

    Args:
        subjects: Files of checkpoints, folders of labels, predictions.
        on: Ids or paths of manifests; nothing stands for all benchmarks that are here.
        params: Settings file with a section ``annotate``, whose roots and body are taken; it need not be there.
        overrides: Dotted setting to value, for example ``{"run.device": "cpu"}``.
    """
    try:
        run = benchmark_run(params, overrides)
        with gpu_slot(run.device):
            shown = Lines(get_run_logger())
            result = run_stage("measure", lambda: evaluate_on(on or ["benchmarks"], subjects, run, shown))
    except (*MISTAKES, WriteError) as error:
        return Failed(message=str(error))
    create_markdown_artifact(result.markdown, key=BENCHMARKS_FLOW_NAME, description=result.sentence)
    return Completed(message=result.sentence)
