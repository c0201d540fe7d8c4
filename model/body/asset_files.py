"""Body models as npz files of our own, without pickled members: written by the converter, read by whoever names them.

A folder of converted files holds smplx.npz, flame.npz and correspondence.npz (which body vertices the head is).
"""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.files import whole_file
from model.body.assets import BodyAssets, EhmAssets, Kind


def save_body(path: Path, assets: BodyAssets) -> None:
    """Write `assets` to a compressed npz without pickled members."""
    arrays: dict[str, Any] = {}
    for field in fields(assets):
        value = getattr(assets, field.name)
        if value is None:
            continue
        if field.name == "keypoint_vertices":
            arrays["keypoint_names"] = np.array(list(value), dtype=np.str_)
            arrays["keypoint_ids"] = np.array(list(value.values()), dtype=np.int64)
        else:
            arrays[field.name] = np.asarray(value)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load_body(path: Path, kind: Kind) -> BodyAssets:
    """Read a file written by `save_body`; `kind` is what the caller needs it to be."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: make it with `python -m model.body.convert --{kind} FILE --out DIR`.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a readable npz file ({error}): convert the source file again.") from error
    found = str(arrays.get("kind", "unknown"))
    if found != kind:
        raise ValueError(f"{path} holds a body of kind {found!r}, expected {kind!r}: pass the converted {kind} file.")
    keypoints = dict(zip(arrays.pop("keypoint_names").tolist(), arrays.pop("keypoint_ids").tolist(), strict=True))
    texts = {key: str(arrays.pop(key)) for key in ("name", "sha256", "licence")}
    del arrays["kind"]
    return BodyAssets(kind=kind, **texts, keypoint_vertices=keypoints, **arrays)


def save_correspondence(path: Path, head_vertex_ids: NDArray, hand_vertex_ids: Mapping[str, NDArray]) -> None:
    """Write which body vertices the head and the hands are."""
    hands: dict[str, Any] = {f"{side}_hand": np.asarray(ids, dtype=np.int64) for side, ids in hand_vertex_ids.items()}
    with whole_file(path) as file:
        np.savez_compressed(file, head=np.asarray(head_vertex_ids, dtype=np.int64), **hands)


def load_ehm_assets(folder: Path) -> EhmAssets:
    """Read converted licensed files.

    Args:
        folder: Output folder of `model.body.convert`, holding smplx.npz, flame.npz and correspondence.npz.
    """
    body, head = (load_body(folder / f"{kind}.npz", kind) for kind in ("smplx", "flame"))
    correspondence = folder / "correspondence.npz"
    if not correspondence.is_file():
        raise ValueError(
            f"{correspondence} does not exist: pass --head-ids SMPL-X__FLAME_vertex_ids.npy to the converter."
        )
    with np.load(correspondence, allow_pickle=False) as file:
        head_ids = file["head"]
        hand_ids = {side: file[f"{side}_hand"] for side in ("left", "right") if f"{side}_hand" in file.files}
    return EhmAssets(
        smplx=body,
        flame=head,
        head_vertex_ids=head_ids,
        hand_vertex_ids=hand_ids,
        regions={},
        uv=None,
        sha256=_joint_hash(body.sha256, head.sha256),
    )


def _joint_hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
