"""The renderer of people of a run: a file that settings name, read once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from model.estimators.base import EstimatorInfo
from model.renderer.texture.file import FORMAT, load_renderer
from model.renderer.texture.renderer import TextureRenderer
from model.weights import checkpoint_sha256
from tasks.body_model import ehm_assets
from tasks.settings import BodyModelConfig


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OpenedRenderer:
    """A renderer, and what it is; the same object as long as file and body stay the same."""

    renderer: TextureRenderer
    """On the CPU."""
    info: EstimatorInfo
    """As footers list it."""


def open_renderer(path: str, setting: str, body: BodyModelConfig) -> OpenedRenderer:
    """The renderer in a file, for a body.

    Args:
        path: The file.
        setting: What names it, for messages.
        body: What it has to draw.

    Raises:
        ValueError: There is no such file, it is no renderer, or it draws another body.
    """
    if not Path(path).is_file():
        raise ValueError(
            f"{setting}: there is no file {path}; `pear finetune-renderer` makes a renderer of people, or name another"
        )
    return _opened(path, checkpoint_sha256(path), body)


@lru_cache(maxsize=2)
def _opened(path: str, sha256: str, body: BodyModelConfig) -> OpenedRenderer:
    """One for each content of the file, whose hash is given."""
    mesh = ehm_assets(body).smplx
    faces = torch.from_numpy(np.asarray(mesh.faces, np.int64))
    renderer, _ = load_renderer(Path(path).read_bytes(), faces, mesh.num_vertices, source=path)
    name, _, version = FORMAT.partition("/")
    return OpenedRenderer(renderer=renderer, info=EstimatorInfo(name=name, version=version, weights_sha256=sha256))
