"""Truth of licensed bodies: their meshes from parameters, the matrices between them, and which files all of it needs.

Legend: K people, V vertices, R regressed joints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.truth_3d import Truth3d
from model.body.asset_files import load_body
from model.body.assets import EhmAssets
from model.body.convert import convert_model
from model.body.official_files import read_source
from model.body.published_hands import flat_hands
from model.body.skinned import SkinnedBody
from model.licensed_files.evaluation import EVALUATION
from model.metrics.agora import PARTS
from model.metrics.conventions import H36M14, HMR2, JointConvention
from model.metrics.person import unmeasured
from model.rotations import rotvec_to_rotmat

CONVENTIONS = (H36M14, HMR2)
HANDS = "hands"
"""Beside the conventions' names: what may lack a file."""
AGORA_BODY = "agora-body"
_FILES = {file.id.removeprefix("evaluation."): file for file in EVALUATION}
_LICENSED = "truth is of SMPL and SMPL-X: name the folder of their converted files as body_model.path"


def smplx_vertices(body: SkinnedBody, truth: Truth3d) -> Tensor:
    """(V, 3) of SMPL-X's parameters, in their own frame."""
    stated = {name: torch.from_numpy(np.asarray(value, np.float64)) for name, value in truth.parameters.items()}
    stated |= {name: torch.from_numpy(pose) for name, pose in flat_hands(truth, body.assets).items()}
    given = {
        "global_orient": stated["global_orient"],
        **{name: stated[name].view(-1, 3) for name in ("body_pose", "left_hand_pose", "right_hand_pose")},
        "jaw_pose": stated.get("jaw_pose", torch.zeros(3)),
        "eye_pose": torch.stack([stated.get(f"{side}eye_pose", torch.zeros(3)) for side in "lr"]),
    }
    most = {"betas": body.num_betas, "expression": body.num_expression}
    shapes = {name: stated[name][:number].float() for name, number in most.items() if name in stated}
    turns = {name: rotvec_to_rotmat(value.double()).float() for name, value in given.items()}
    with torch.no_grad():
        vertices = body(**turns, **shapes).vertices.double()
    return vertices + stated.get("transl", torch.zeros(3))  # SMPL-X adds it, wherever its pelvis is at rest


def smpl_vertices(licensed: Path, truths: Sequence[Truth3d]) -> Tensor:
    """(K, V, 3) of SMPL's parameters, each by the model of its gender, the pelvis at rest."""
    of_gender: defaultdict[str, list[int]] = defaultdict(list)
    for row, truth in enumerate(truths):
        of_gender[truth.gender].append(row)
    found: dict[int, Tensor] = {}
    for gender, rows in of_gender.items():
        body = _smpl_body(licensed, gender)
        stated = [truths[row].parameters for row in rows]
        turns = {
            name: rotvec_to_rotmat(torch.from_numpy(np.stack([own[name] for own in stated])).double().view(-1, n, 3))
            for name, n in (("global_orient", 1), ("body_pose", 23))
        }
        betas = np.zeros((len(rows), body.num_betas), np.float32)
        for own, parameters in zip(betas, stated, strict=True):
            given = np.asarray(parameters.get("betas", ()))[: body.num_betas]
            own[: len(given)] = given
        turns["global_orient"] = turns["global_orient"][:, 0]
        posed = body(**{name: value.float() for name, value in turns.items()}, betas=torch.from_numpy(betas))
        found |= dict(zip(rows, posed.vertices, strict=True))
    return torch.stack([found[row] for row in range(len(truths))])


class PartVertices(NamedTuple):
    """Vertices that AGORA's errors of parts are of."""

    ids: Mapping[str, np.ndarray]
    """Part of ``model.metrics.agora.PARTS`` -> its vertices; empty where some are not known."""
    name: str
    """What they are, in words."""
    lacks: str
    """Why they are not known; empty where they are."""


def agora_vertices(assets: EhmAssets, licensed: Path | None) -> PartVertices:
    """Of the official program with the licensed body; of the open one the body is what neither head nor hands have."""
    ids = {f"{side}_hand": own for side, own in assets.hand_vertex_ids.items()} | {"face": assets.head_vertex_ids}
    file = _FILES[AGORA_BODY]
    if HANDS in (absent := unmeasured(assets)):
        return PartVertices({}, "", f"convert the bodies anew with {absent[HANDS]} (docs/licensed_files.md)")
    if licensed is None:
        rest = np.setdiff1d(np.arange(assets.smplx.num_vertices), np.concatenate(list(ids.values())))
        ids["body"], told = rest, "outside head and hands"
    elif (path := file.found_below(licensed)) is None:
        return PartVertices({}, "", file.step(licensed / file.place))
    else:
        ids["body"], told = _vertex_ids(path, assets), f"of {path.name}"
    counts = ", ".join(f"{part.replace('_', ' ')} {len(ids[part])}" for part in PARTS)
    return PartVertices(ids, f"{assets.smplx.name}: {counts}; the body's are those {told}", "")


def _vertex_ids(path: Path, assets: EhmAssets) -> np.ndarray:
    ids = np.asarray(read_source(path))
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids) or ids.max() >= assets.smplx.num_vertices:
        raise ValueError(
            f"{path}: expected numbers of vertices of {assets.smplx.name}, 0 to {assets.smplx.num_vertices - 1}, got "
            f"{ids.dtype} of shape {ids.shape}"
        )
    return ids.astype(np.int64)


# --- files ------------------------------------------------------------------------------------------------------------
def lacking_files(assets: EhmAssets, licensed: Path | None) -> dict[str, str]:
    """What cannot be measured -> the next step, before anybody is seen: the genders of people are not known yet."""
    if licensed is None:
        return dict.fromkeys((*(own.name for own in CONVENTIONS), HANDS), f"{_LICENSED} (docs/licensed_files.md).")
    steps = {own.name: _step(licensed, "smplx2smpl") or _step(licensed, own.name) for own in CONVENTIONS}
    if HANDS in (absent := unmeasured(assets)):
        steps[HANDS] = f"convert the bodies anew with {absent[HANDS]} (docs/licensed_files.md)."
    return {name: step for name, step in steps.items() if step}


def lacking_genders(licensed: Path | None, truths: Sequence[Truth3d]) -> dict[str, str]:
    """Conventions that cannot be measured of people of SMPL, as the model of somebody's gender is not there -> the
    next step."""
    if licensed is None:
        return {}
    for gender in sorted({truth.gender for truth in truths}):
        if _smpl_file(licensed, gender) is None:
            step = _step(licensed, f"smpl-{gender}") or "convert SMPL_NEUTRAL.pkl (docs/licensed_files.md)."
            return {own.name: step for own in CONVENTIONS}
    return {}


def _step(licensed: Path, name: str) -> str:
    """How to have a file; empty if it is there."""
    file = _FILES.get(name)
    return "" if file is None or file.found_below(licensed) else file.step(licensed / file.place)


def _smpl_file(licensed: Path, gender: str) -> Path | None:
    if gender == "neutral":
        path = licensed / "smpl.npz"
        return path if path.is_file() else None
    return _FILES[f"smpl-{gender}"].found_below(licensed)


@cache
def _smpl_body(licensed: Path, gender: str) -> SkinnedBody:
    path = _smpl_file(licensed, gender)
    assert path is not None
    return SkinnedBody(load_body(path, "smpl") if gender == "neutral" else convert_model("smpl", path))


@cache
def regressors(licensed: Path, convention: JointConvention) -> tuple[Tensor, Tensor]:
    """Joints of SMPL's vertices (R, V), and of SMPL-X's by way of those."""
    paths = [_FILES[name].found_below(licensed) for name in (convention.name, "smplx2smpl")]
    joints, meshes = (_matrix(path) for path in paths if path is not None)
    if joints.shape != (convention.num_joints, len(meshes)):
        raise ValueError(
            f"{paths[0]}: expected a matrix ({convention.num_joints}, {len(meshes)}), as {paths[1]} has "
            f"{len(meshes)} vertices of SMPL, got {joints.shape}"
        )
    used = np.flatnonzero(joints.any(axis=0))  # of the matrix between the meshes, 290 MB, few rows matter
    joints = joints.astype(np.float64)
    return torch.from_numpy(joints), torch.from_numpy(joints[:, used] @ meshes[used].astype(np.float64))


def _matrix(path: Path) -> np.ndarray:
    content = read_source(path)
    array = np.asarray(content.get("matrix") if isinstance(content, dict) else content)
    if array.ndim != 2 or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{path}: expected a matrix of finite numbers, got {array.dtype} of shape {array.shape}")
    return array
