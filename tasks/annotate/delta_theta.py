"""The SMPL to SMPL-X transfer of a run: computed once a pair of bodies, kept in the work folder, safe to delete.

work/delta_theta/<SMPL hash>-<SMPL-X hash>.npz

Workers that start together may each compute it; they write the same content, whole or not at all.
"""

from __future__ import annotations

import io
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.files import write_bytes
from datasets_manifest.numpy_files import DAMAGED
from fitting.delta_theta import DeltaTheta, cache_key, compute_delta_theta
from fitting.rest_alignment import AlignConfig
from model.body.asset_files import load_body
from model.body.assets import BodyAssets, load_open_body, load_open_part
from model.body.surface_map import SurfaceMap, load_open_surface_map, load_surface_map
from tasks.settings import BodyModelConfig

_HASH_CHARS = 16
_ONE_AT_A_TIME = threading.Lock()
MAX_CACHE_BYTES = 1 << 20
"""A good file has some 10 kB."""


def delta_theta(config: BodyModelConfig, work: Path) -> DeltaTheta:
    """Transfer for the configured body, once a process; threads that ask meanwhile wait.

    They must: the alignment differentiates forward, and torch keeps the level of that for the whole process.

    Args:
        config: the body; a folder of licensed files needs smpl.npz and smpl_to_smplx.npz beside smplx.npz.
        work: the run's folder of intermediate files.

    Raises:
        ValueError: A file is absent; the message says what to run.
    """
    with _ONE_AT_A_TIME:
        return _delta_theta(config, work)


@lru_cache(maxsize=2)
def _delta_theta(config: BodyModelConfig, work: Path) -> DeltaTheta:
    smpl, smplx, surface = bodies(config)
    return load_or_compute(work / "delta_theta", smpl, smplx, surface)


@lru_cache(maxsize=2)
def transfer_key(config: BodyModelConfig) -> str:
    """Hash of everything the configured body's transfer is computed from; cheap, nothing is aligned."""
    return cache_key(*bodies(config), AlignConfig())


def bodies(config: BodyModelConfig) -> tuple[BodyAssets, BodyAssets, SurfaceMap]:
    """SMPL, SMPL-X and how their surfaces correspond."""
    if config.path is None:
        return load_open_part("smpl"), load_open_body().smplx, load_open_surface_map()
    folder = Path(config.path)
    smpl, smplx = load_body(folder / "smpl.npz", "smpl"), load_body(folder / "smplx.npz", "smplx")
    return smpl, smplx, load_surface_map(folder / "smpl_to_smplx.npz")


def load_or_compute(
    folder: Path, smpl: BodyAssets, smplx: BodyAssets, surface: SurfaceMap, config: AlignConfig | None = None
) -> DeltaTheta:
    """The stored transfer where it belongs to exactly these bodies, this correspondence and these settings; else anew.

    Args:
        folder: where the files lie; made when absent.
        smpl: SMPL body.
        smplx: SMPL-X body.
        surface: their correspondence.
        config: settings of the alignment.
    """
    config = AlignConfig() if config is None else config
    path = cache_path(folder, smpl, smplx)
    stored = _read(path)
    if stored is not None and stored.key == cache_key(smpl, smplx, surface, config):
        return stored
    found = compute_delta_theta(smpl, smplx, surface, config)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = found.to_arrays()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())
    return found


def cache_path(folder: Path, smpl: BodyAssets, smplx: BodyAssets) -> Path:
    """File of a pair of bodies, named by both hashes."""
    return folder / f"{smpl.sha256[:_HASH_CHARS]}-{smplx.sha256[:_HASH_CHARS]}.npz"


def _read(path: Path) -> DeltaTheta | None:
    """What the file holds; None where it is absent or broken."""
    try:
        if path.stat().st_size > MAX_CACHE_BYTES:
            return None
        with np.load(path, allow_pickle=False) as file:
            return DeltaTheta.from_arrays(file)
    except DAMAGED:
        return None
