"""evaluate: checkpoints in, their errors on the same held-out people out, as a Prefect flow.

The flow only wraps a plain function, ``tasks.training.comparison.compare``.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from datasets_manifest.files import WriteError
from flows.run.mistakes import MISTAKES
from flows.run.own_run import remember
from flows.train import gpu_slot, run_stage
from tasks.display import Lines
from tasks.training.comparison import compare, load_settings

FLOW_NAME = "evaluate"


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
