"""The body model of a run: loaded once a process, named in every footer."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from fitting.sparse_body import SparseBody
from model.body.asset_files import load_ehm_assets
from model.body.assets import EhmAssets, load_open_body
from model.body.ehms import EHMs
from tasks.settings import BodyModelConfig


@lru_cache(maxsize=2)
def ehm_assets(config: BodyModelConfig) -> EhmAssets:
    """Arrays of the configured body, in the configured fusion.

    Raises:
        ValueError: The folder of converted licensed files is absent or incomplete; the message says what to run.
    """
    assets = load_open_body() if config.path is None else load_ehm_assets(Path(config.path))
    return assets if config.fusion == assets.fusion else dataclasses.replace(assets, fusion=config.fusion)


def people_size(config: BodyModelConfig, asked: BodySize) -> BodySize:
    """Numbers of coefficients of people of the configured body: those asked for, never more than it has."""
    return ehm_assets(config).available(asked)


@lru_cache(maxsize=2)
def sparse_body(config: BodyModelConfig, size: BodySize = DEFAULT_SIZE, refined: BodySize = DEFAULT_SIZE) -> SparseBody:
    """The joints and landmark points that the refinement poses.

    Args:
        config: Which body.
        size: Numbers of coefficients of people.
        refined: How many of them, the leading ones, the refinement moves.
    """
    return SparseBody.from_assets(ehm_assets(config), size=size, **dataclasses.asdict(refined))


@lru_cache(maxsize=2)
def full_body(config: BodyModelConfig, size: BodySize = DEFAULT_SIZE) -> EHMs:
    """The whole EHM-s mesh, for pictures and error figures, of people of some size or a smaller one."""
    return EHMs(ehm_assets(config), size)
