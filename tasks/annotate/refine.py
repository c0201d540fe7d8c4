"""Last step of a shard: the four parts become one EHM-s body that agrees with the keypoints, one label row a person.

What may supervise a model is decided here: a part is valid if its 2D points were trusted, its estimator or its
keypoints gave enough, and the fitted body meets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import table_from_rows
from datasets_manifest.schema.labels import (
    BODY_SCHEMA,
    FACE_SCHEMA,
    HANDS_SCHEMA,
    KEYPOINTS_SCHEMA,
    LABEL_SCHEMA,
    PART_NAMES,
    ErrorCode,
    Status,
    unpack_arrays,
)
from datasets_manifest.shards.shard import read_shard
from fitting.refine import Camera, Coarse, Observations, RefineResult, refine
from fitting.refine import Status as FitStatus
from fitting.sparse_tables import NUM_SURFACE
from model.estimators.surface import OFFSET_EVIDENCE, SIGMA_EVIDENCE
from tasks.annotate.parts import KEY_COLUMNS, to_rotmat
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary, run_step
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.body_model import sparse_body

Row = dict[str, Any]
_SCHEMAS = {"keypoints": KEYPOINTS_SCHEMA, "body": BODY_SCHEMA, "hands": HANDS_SCHEMA, "face": FACE_SCHEMA}
_COPIED = (*KEY_COLUMNS, "bbox_xyxy", "bbox_source", "keypoints_2d", "focal_px", "principal_px")
# A fit that stalled or ran out of steps has a best iterate, which is judged by its residuals like any other; the column
# `converged` tells.
_FIT_FAILED = {FitStatus.NOT_FINITE: ErrorCode.FIT_NOT_FINITE, FitStatus.NO_DATA: ErrorCode.KEYPOINTS_TOO_FEW}


def refine_labels(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Writes the labels of one shard; all four part files must be there.

    Args:
        shard: Which shard.
        workspace: Where files are.
        config: All settings.
    """

    def compute() -> pa.Table:
        parts = {name: _read(name, shard, workspace) for name in _SCHEMAS}
        people = parts["keypoints"]
        chosen = [i for i, person in enumerate(people) if person["status"] != Status.FAILED]
        labels: dict[int, Row] = {}
        if chosen:
            picked = {name: [rows[i] for i in chosen] for name, rows in parts.items()}
            result = refine(
                sparse_body(config.body_model),
                observations_of(picked["keypoints"]),
                coarse_of(picked),
                camera_of(picked["keypoints"]),
                config.refine,
            )
            labels = dict(zip(chosen, label_rows(picked, result), strict=True))
        rows = [labels.get(i) or _failed_row(person) for i, person in enumerate(people)]
        return table_from_rows(rows, LABEL_SCHEMA)

    return run_step("refine", shard, workspace, lambda: step_footer("refine", config, shard, workspace), compute)


def _read(step: str, shard: ShardRef, workspace: Workspace) -> list[Row]:
    """Rows of a part, checked to be those of the keypoints."""
    rows = read_shard(workspace.step_path(step, shard), _SCHEMAS[step]).to_pylist()
    if step != "keypoints":
        path = workspace.step_path("keypoints", shard)
        wanted = read_shard(path, KEYPOINTS_SCHEMA)["sample_id"].to_pylist()
        if [row["sample_id"] for row in rows] != wanted:
            raise ValueError(f"{step}/{shard.name} has other people than keypoints/{shard.name}; do the shard again")
    return rows


def _stack(rows: Sequence[Row], column: str, shape: tuple[int, ...], fill: float = 0.0) -> np.ndarray:
    """(P, *shape) float32 of a column; absent values become ``fill``."""
    empty = np.full(shape, fill, np.float32)
    return np.stack([empty if row[column] is None else np.reshape(row[column], shape) for row in rows]).astype(
        np.float32
    )


def _flags(rows: Sequence[Row], column: str) -> torch.Tensor:
    return torch.tensor([bool(row[column]) for row in rows])


def _scalars(rows: Sequence[Row], column: str) -> np.ndarray:
    return np.array([np.nan if row[column] is None else row[column] for row in rows], np.float32)


def observations_of(people: Sequence[Row]) -> Observations:
    """Keypoints of (P,) people with their standard deviations, px, and where their source puts hips and shoulders."""
    stated = [unpack_arrays(person) for person in people]

    def surface(name: str) -> torch.Tensor:
        unsaid = np.full(NUM_SURFACE, np.nan, np.float32)
        return torch.from_numpy(np.stack([evidence.get(name, unsaid) for evidence in stated]))

    return Observations(
        keypoints_px=torch.from_numpy(_stack(people, "keypoints_2d", (133, 3))[..., :2].copy()),
        sigma_px=torch.from_numpy(_stack(people, "sigma_px", (133,), np.inf)),
        boxes_xyxy=torch.from_numpy(_stack(people, "bbox_xyxy", (4,))),
        surface_offset_m=surface(OFFSET_EVIDENCE),
        surface_sigma_m=surface(SIGMA_EVIDENCE),
    )


def camera_of(people: Sequence[Row]) -> Camera:
    """One pinhole camera a person."""
    return Camera(
        focal_px=torch.from_numpy(_scalars(people, "focal_px")),
        principal_px=torch.from_numpy(_stack(people, "principal_px", (2,))),
    )


def coarse_of(parts: dict[str, list[Row]]) -> Coarse:
    """The part estimates of the same (P,) people; a part that was not found is marked so and holds zeros."""
    body, hands, face = parts["body"], parts["hands"], parts["face"]

    def rotations(rows: Sequence[Row], column: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(to_rotmat(_stack(rows, column, shape)))

    def both(column: str, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.stack([rotations(hands, f"{side}_{column}", shape) for side in ("left", "right")], 1)

    # A simulated or exotic backend may state no spread: NaN lets the refinement take the recipe's.
    sigma = _stack(body, "sigma_rad", (22,), np.nan)
    hand_sigma = np.stack([_scalars(hands, f"{side}_sigma_rad") for side in ("left", "right")], 1)
    return Coarse(
        global_orient=rotations(body, "global_orient", (3,)),
        body_pose=rotations(body, "body_pose", (21, 3)),
        betas=torch.from_numpy(_stack(body, "betas", (10,))),
        sigma_rad=torch.from_numpy(sigma),
        body_valid=_flags(body, "valid"),
        hand_pose=both("hand_pose", (15, 3)),
        wrist_orient=both("wrist_orient", (3,)),
        hand_sigma_rad=torch.from_numpy(hand_sigma),
        hand_score=torch.from_numpy(np.stack([_scalars(hands, f"{side}_score") for side in ("left", "right")], 1)),
        hand_valid=torch.stack([_flags(hands, f"{side}_valid") for side in ("left", "right")], 1),
        flame_shape=torch.from_numpy(_stack(face, "flame_shape", (10,))),
        flame_expression=torch.from_numpy(_stack(face, "flame_expression", (10,))),
        jaw_pose=rotations(face, "jaw_pose", (3,)),
        eye_pose=rotations(face, "eye_pose", (2, 3)),
        eyelids=torch.from_numpy(_stack(face, "eyelids", (2,))),
        head_orient=rotations(face, "head_orient", (3,)),
        head_sigma_rad=torch.from_numpy(_scalars(face, "sigma_rad")),
        face_valid=_flags(face, "valid"),
    )


def label_rows(parts: dict[str, list[Row]], result: RefineResult) -> list[Row]:
    """Label rows of the refined people, in their order."""
    columns = {name: value.numpy() for name, value in result.parameters.rotvecs().items()}
    evidence = result.evidence
    rows = []
    for i, person in enumerate(parts["keypoints"]):
        status = FitStatus(int(result.status[i]))
        if status in _FIT_FAILED:
            rows.append(_failed_row(person) | _state(Status.FAILED, _FIT_FAILED[status]))
            continue
        # Keypoints alone, without any body estimate, leave front and back and every depth to chance.
        trusted = np.asarray(person["part_valid"], bool) & [parts["body"][i]["valid"], True, True, True]
        valid = np.asarray(result.part_valid[i].numpy(), bool) & trusted
        if not valid.any():
            rows.append(_failed_row(person) | _validity_state(valid, parts, i))
            continue
        measured = {f"reproj_{part}_px": float(evidence.reproj_px[i, k]) for k, part in enumerate(PART_NAMES)}
        rows.append(
            {name: person[name] for name in _COPIED}
            | {name: value[i] for name, value in columns.items()}
            | {"hand_scale": np.ones(3, np.float32)}
            | {f"{part}_valid": bool(valid[k]) for k, part in enumerate(PART_NAMES)}
            | measured
            | {
                "reproj_rel": float(evidence.reproj_rel[i]),
                "inlier_ratio": float(evidence.inlier_ratio[i]),
                "joint_seen": evidence.joint_seen[i].numpy(),
                "moved_rad": float(result.moved_rad[i]),
                "iterations": int(result.iterations[i]),
                "converged": bool(result.converged[i]),
                "quality": float(result.quality[i]),
            }
            | _validity_state(valid, parts, i)
        )
    return rows


def _validity_state(valid: np.ndarray, parts: dict[str, list[Row]], index: int) -> Row:
    """ok when every part may supervise, failed when none may, else partial, with the reason of each that may not."""
    if valid.all():
        return {"status": Status.OK, "error_code": None, "error_detail": None}
    reasons = {part: _reason(part, parts, index) for part, good in zip(PART_NAMES, valid, strict=True) if not good}
    first = next(iter(reasons.values()))
    detail = "; ".join(f"{part}: {reason}" for part, reason in reasons.items())
    return {
        "status": Status.PARTIAL if valid.any() else Status.FAILED,
        "error_code": first,
        "error_detail": f"may not supervise: {detail}",
    }


def _reason(part: str, parts: dict[str, list[Row]], index: int) -> ErrorCode:
    """Why a part is not valid: its estimator's reason, or that the fitted body does not meet its keypoints."""
    hands = parts["hands"][index]
    stated = {
        "body": parts["body"][index]["error_code"],
        "left_hand": hands["left_error_code"],
        "right_hand": hands["right_error_code"],
        "face": parts["face"][index]["error_code"],
    }[part]
    if stated is not None:
        return ErrorCode(stated)
    person = parts["keypoints"][index]
    if not person["part_valid"][PART_NAMES.index(part)]:
        return ErrorCode.ESTIMATOR_REFUSED
    return ErrorCode.REPROJECTION_TOO_LARGE


def _state(status: Status, code: ErrorCode) -> Row:
    return {"status": status, "error_code": code, "error_detail": code.sentence}


def _failed_row(person: Row) -> Row:
    """The row of a person without a label: what is known of it, and why there is none."""
    kept = {name: person[name] for name in (*_COPIED, "status", "error_code", "error_detail")}
    return kept | {f"{part}_valid": False for part in PART_NAMES}
