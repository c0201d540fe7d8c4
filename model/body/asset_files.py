"""Body models as npz files of our own, without pickled members: written by the converter, read by whoever names them.

A folder of converted files holds smplx.npz, flame.npz and correspondence.npz (which body vertices the head is).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.files import whole_file
from datasets_manifest.numpy_files import DAMAGED
from model.body.assets import BodyAssets, EhmAssets, Kind


def save_body(path: Path, assets: BodyAssets) -> None:
    """Write `assets` to a compressed npz without pickled members."""
    arrays: dict[str, Any] = {}
    for name in (f.name for f in fields(assets)):
        value = getattr(assets, name)
        if value is None:
            continue
        if name == "keypoint_vertices":
            arrays["keypoint_names"] = np.array(list(value), dtype=np.str_)
            arrays["keypoint_ids"] = np.array(list(value.values()), dtype=np.int64)
        else:
            arrays[name] = np.asarray(value)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load_body(path: Path, kind: Kind) -> BodyAssets:
    """Read a file written by `save_body`; `kind` is what the caller needs it to be."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: make it with `python -m model.body.convert --{kind} FILE --out DIR`.")
    arrays = _arrays(path)
    found = str(arrays.get("kind", "unknown"))
    if found != kind:
        raise ValueError(f"{path} holds a body of kind {found!r}, expected {kind!r}: pass the converted {kind} file.")
    try:
        keypoints = dict(zip(arrays.pop("keypoint_names").tolist(), arrays.pop("keypoint_ids").tolist(), strict=True))
        texts = {key: str(arrays.pop(key)) for key in ("name", "sha256", "licence")}
        del arrays["kind"]
        return BodyAssets(kind=kind, **texts, keypoint_vertices=keypoints, **arrays)
    except DAMAGED as error:
        raise ValueError(f"{path} is not a body as the converter writes it ({error}): convert it again.") from error


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except DAMAGED as error:
        raise ValueError(f"{path} is not a readable npz file ({error}): convert the source file again.") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Correspondence:
    """Which vertices of the body are what, in the body's numbers."""

    head: NDArray[np.int64]
    """(V_flame,) body vertex of each head vertex."""
    hands: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """`left`, `right` -> (V_mano,) body vertex of each hand vertex; empty when unknown."""
    kept: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) vertices of the head that stay with the body in the fusion `paper`."""
    lips: NDArray[np.int64] | None = None
    """(N,) vertices of the lips; None when unknown."""


def save_correspondence(path: Path, known: Correspondence) -> None:
    """Write which body vertices the head, the hands and the lips are."""
    arrays = {"head": known.head, "kept": known.kept, **{f"{side}_hand": ids for side, ids in known.hands.items()}}
    if known.lips is not None:
        arrays["lips"] = known.lips
    with whole_file(path) as file:
        np.savez_compressed(file, **{name: np.asarray(ids, dtype=np.int64) for name, ids in arrays.items()})  # type: ignore[arg-type]


def load_correspondence(path: Path) -> Correspondence:
    """Read a file written by `save_correspondence`, also one that names neither lips nor kept vertices."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: pass --head-ids SMPL-X__FLAME_vertex_ids.npy to the converter.")
    found = _arrays(path)
    if "head" not in found:
        raise ValueError(f"{path} does not say which vertices are the head: convert the source files again.")
    hands = {side: found[f"{side}_hand"] for side in ("left", "right") if f"{side}_hand" in found}
    kept = found.get("kept", np.zeros(0, np.int64))
    return Correspondence(head=found["head"], hands=hands, kept=kept, lips=found.get("lips"))


def load_ehm_assets(folder: Path) -> EhmAssets:
    """Read converted licensed files.

    Args:
        folder: Output folder of `model.body.convert`, holding smplx.npz, flame.npz and correspondence.npz.
    """
    body, head = (load_body(folder / f"{kind}.npz", kind) for kind in ("smplx", "flame"))
    known = load_correspondence(folder / "correspondence.npz")
    return EhmAssets(
        smplx=body,
        flame=head,
        head_vertex_ids=known.head,
        hand_vertex_ids=dict(known.hands),
        regions={} if known.lips is None else {"lips": np.isin(np.arange(body.num_vertices), known.lips)},
        uv=None,
        sha256=_joint_hash(body.sha256, head.sha256),
        keep_body_ids=known.kept,
    )


def _joint_hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
