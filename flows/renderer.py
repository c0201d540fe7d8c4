"""finetune-renderer: people in, one renderer out, as a Prefect flow.

    people -> learn/<run> -> held-out        a texture
    people -> train/<run> -> publish         GUAVA's networks

The flow only wraps plain functions: ``tasks.training.renderer.run``, or a training as in ``flows.train``.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Failed

from datasets_manifest.files import WriteError
from flows.run.mistakes import MISTAKES
from flows.run.own_run import remember
from flows.run.train_artifacts import picture_markdown
from flows.train import run_stage, train
from tasks.display import Lines
from tasks.training.guava.request import prepare
from tasks.training.guava.settings import is_guava, load_guava_config
from tasks.training.renderer.run import finetune_renderer
from tasks.training.renderer.settings import load_renderer_config

FLOW_NAME = "finetune-renderer"
RESULT_KEY = "renderer"
PICTURES_KEY = "renderer-people"


@flow(name=FLOW_NAME, persist_result=False, on_running=[remember])
def finetune(params: str = "params.renderer.yaml", overrides: dict[str, Any] | None = None) -> Any:
    """Learns what draws people, from rendered people and from published labels with photos and masks; or trains GUAVA's
    networks on, from the newest state of the run of the same settings.

    Args:
        params: Settings file with a section ``renderer``.
        overrides: Dotted setting to value, for example ``{"directions": 32}``.
    """
    try:
        if is_guava(params, overrides):
            return train(lambda: load_guava_config(params, overrides), prepare)
        config = load_renderer_config(params, overrides)
        result = finetune_renderer(config, Lines(get_run_logger()), stage=run_stage)
    except (*MISTAKES, WriteError) as error:
        return Failed(message=str(error))
    create_markdown_artifact(result.markdown, key=RESULT_KEY, description=result.sentence)
    create_markdown_artifact(
        picture_markdown("Held-out people", result.pictures.read_bytes()),
        key=PICTURES_KEY,
        description="Picture, drawn in its pose, another picture of the person, drawn in that pose",
    )
    return Completed(message=result.sentence)
