"""Last step of a shard: the four parts become one EHM-s body that agrees with the keypoints, one label row a person.

What may supervise a model is decided here: a part is valid if its 2D points were trusted, its estimator or its
keypoints gave enough, and the fitted body meets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from datasets_manifest.schema.evidence import unpack_arrays
from datasets_manifest.schema.labels import (
    BODY_GROUP_NAMES,
    KEY_COLUMNS,
    LABEL_SCHEMA,
    PART_NAMES,
    ErrorCode,
    Refusal,
    Status,
    label_schema,
)
from fitting.refine import Camera, Coarse, Observations, RefineResult, refine
from fitting.refine import Status as FitStatus
from fitting.reprojection import Reprojection
from fitting.sparse_tables import NUM_SURFACE
from model.estimators.hidden_error import HIDDEN_EVIDENCE
from model.estimators.surface import OFFSET_EVIDENCE, SIGMA_EVIDENCE
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import STATE_COLUMNS, parts_detail, to_rotmat
from tasks.annotate.steps.pixels import PixelOutcome, refine_by_pixels
from tasks.body_model import sparse_body

_PARTS = ("keypoints", "body", "hands", "face")
_STATED_BY = {
    "body": ("body", ""),
    "left_hand": ("hands", "left_"),
    "right_hand": ("hands", "right_"),
    "face": ("face", ""),
}
"""Step and prefix of the columns that say why a part is not valid."""
_COPIED = (*KEY_COLUMNS, "bbox_xyxy", "bbox_source", "keypoints_2d", "focal_px", "principal_px")
# A fit that stalled or ran out of steps has a best iterate, which is judged by its residuals like any other; the column
# `converged` tells.
_FIT_FAILED = {FitStatus.NOT_FINITE: ErrorCode.FIT_NOT_FINITE, FitStatus.NO_DATA: ErrorCode.KEYPOINTS_TOO_FEW}


def refine_labels(job: ShardJob) -> pa.Table:
    """Makes the labels of one shard; all four part files must be there."""
    parts = {name: _part(name, job) for name in _PARTS}
    people = parts["keypoints"]
    is_failed = people["status"] == Status.FAILED
    chosen, failed = np.flatnonzero(~is_failed), people.take(is_failed)
    by_pixels = job.config.pixels.renderer is not None
    schema = label_schema(job.size, by_pixels=by_pixels)
    tables = [_failed_rows(failed, {name: failed.table[name] for name in STATE_COLUMNS}, schema)]
    if len(chosen):
        picked = {name: rows.take(chosen) for name, rows in parts.items()}
        people = picked["keypoints"]
        given = observations_of(people), coarse_of(picked), camera_of(people)
        outcome = None
        if by_pixels:
            result, outcome = refine_by_pixels(job, *given)
        else:
            body = sparse_body(job.config.body_model, job.size, job.config.coefficients.refined)
            result = refine(body, *given, job.config.refine)
        tables.append(label_table(picked, result, schema, outcome))
    return joined(tables, schema, [np.flatnonzero(is_failed), chosen][: len(tables)])


def _part(step: str, job: ShardJob) -> Columns:
    """Rows of a part, checked to be those of the keypoints."""
    rows, people = job.columns(step), job.columns("keypoints")
    if not np.array_equal(rows["sample_id"], people["sample_id"]):
        raise ValueError(
            f"{step}/{job.shard.name} has other people than keypoints/{job.shard.name}; do the shard again"
        )
    return rows


def _tensor(rows: Columns, column: str, fill: float = 0.0) -> torch.Tensor:
    """(P, ...) of a column; ``fill`` where a person has no value, ``nan`` for scalars."""
    values = rows[column].copy()
    if values.ndim > 1:
        values[~rows.has(column)] = fill
    return torch.from_numpy(values)


def observations_of(people: Columns) -> Observations:
    """Keypoints of (P,) people with their standard deviations, px, and what their source states: where it puts hips and
    shoulders, and what its points are off by together."""
    stated = unpack_arrays(people.table, "evidence")
    unsaid = np.full((people.num_rows, NUM_SURFACE), np.nan, np.float32)
    return Observations(
        keypoints_px=_tensor(people, "keypoints_2d")[..., :2].clone(),
        sigma_px=_tensor(people, "sigma_px", np.inf),
        boxes_xyxy=_tensor(people, "bbox_xyxy"),
        surface_offset_m=torch.from_numpy(stated.get(OFFSET_EVIDENCE, unsaid)),
        surface_sigma_m=torch.from_numpy(stated.get(SIGMA_EVIDENCE, unsaid)),
        hidden_error_mm=None if HIDDEN_EVIDENCE not in stated else torch.from_numpy(stated[HIDDEN_EVIDENCE]),
    )


def camera_of(people: Columns) -> Camera:
    """One pinhole camera a person."""
    return Camera(focal_px=_tensor(people, "focal_px"), principal_px=_tensor(people, "principal_px"))


def coarse_of(parts: dict[str, Columns]) -> Coarse:
    """The part estimates of the same (P,) people; a part that was not found is marked so and holds zeros."""
    body, hands, face = parts["body"], parts["hands"], parts["face"]

    def rotations(rows: Columns, column: str) -> torch.Tensor:
        return torch.from_numpy(to_rotmat(_tensor(rows, column).numpy()))

    def parameters(rows: Columns) -> dict[str, torch.Tensor]:
        named = (field for field in EHM_FIELDS if field.name in rows.table.column_names)
        return {f.name: (rotations if f.kind == "rotation" else _tensor)(rows, f.name) for f in named}

    def both(column: str, of: Callable[[Columns, str], torch.Tensor] = _tensor) -> torch.Tensor:
        return torch.stack([of(hands, f"{side}_{column}") for side in ("left", "right")], 1)

    return Coarse(
        **parameters(body),
        **parameters(face),
        # A simulated or exotic backend may state no spread: NaN lets the refinement take the recipe's.
        sigma_rad=_tensor(body, "sigma_rad", np.nan),
        body_valid=_tensor(body, "valid"),
        hand_pose=both("hand_pose", rotations),
        wrist_orient=both("wrist_orient", rotations),
        hand_sigma_rad=both("sigma_rad"),
        hand_score=both("score"),
        hand_valid=both("valid"),
        head_sigma_rad=_tensor(face, "sigma_rad"),
        face_valid=_tensor(face, "valid"),
    )


def label_table(
    parts: dict[str, Columns],
    result: RefineResult,
    schema: pa.Schema = LABEL_SCHEMA,
    outcome: PixelOutcome | None = None,
) -> pa.Table:
    """Labels of the refined (P,) people, in their order, with what pixels changed where they refined them."""
    people = parts["keypoints"]
    codes = [_FIT_FAILED.get(FitStatus(int(status))) for status in result.status]
    # Keypoints alone, without any body estimate, leave front and back and every depth to chance.
    trusted = people["part_valid"].copy()
    trusted[:, PART_NAMES.index("body")] &= parts["body"]["valid"]
    valid = result.part_valid.numpy().astype(bool) & trusted
    states = np.array(
        [
            _validity_state(valid[i], parts, result.reprojection, i)
            if code is None
            else (Status.FAILED, code, code.sentence)
            for i, code in enumerate(codes)
        ],
        object,
    )
    is_labelled = states[:, 0] != Status.FAILED
    labelled, failed = (
        {name: states[rows, k] for k, name in enumerate(STATE_COLUMNS)} for rows in (is_labelled, ~is_labelled)
    )
    columns = _labelled_columns(parts, result, valid, np.flatnonzero(is_labelled), labelled)
    if outcome is not None:
        columns |= outcome.columns(np.flatnonzero(is_labelled))
    tables = [table_from_columns(columns, schema), _failed_rows(people.take(~is_labelled), failed, schema)]
    return joined(tables, schema, [np.flatnonzero(is_labelled), np.flatnonzero(~is_labelled)])


def _labelled_columns(
    parts: dict[str, Columns], result: RefineResult, valid: np.ndarray, rows: np.ndarray, state: dict[str, np.ndarray]
) -> dict[str, Values]:
    """Labels of those of (P,) refined people whose numbers are given."""
    kept, reprojection = parts["keypoints"].take(rows), result.reprojection
    limbs, face = [_limb_doubts(kept, reprojection, place, row) for place, row in enumerate(rows)], parts["face"]
    met = np.array([[limb not in own for limb in BODY_GROUP_NAMES] for own in limbs], bool)
    bodies, faces = (valid[rows, PART_NAMES.index(part)] for part in ("body", "face"))
    fitted = {
        **result.label_columns(),
        **{f"reproj_{part}_px": reprojection.reproj_px[:, k] for k, part in enumerate(PART_NAMES)},
        "reproj_rel": reprojection.reproj_rel,
        "inlier_ratio": reprojection.inlier_ratio,
        "joint_seen": reprojection.joint_seen,
        "moved_rad": result.moved_rad,
        "iterations": result.iterations,
        "converged": result.converged,
        "quality": result.quality[:, PART_NAMES.index("body")],
        **{f"{part}_quality": result.quality[:, k] for k, part in enumerate(PART_NAMES)},
    }
    return {
        **{name: kept.table[name] for name in _COPIED},
        **{name: value.numpy()[rows] for name, value in fitted.items()},
        "hand_scale": np.ones((len(rows), 3), np.float32),
        **{f"{part}_valid": valid[rows, k] for k, part in enumerate(PART_NAMES)},
        "body_group_valid": bodies[:, None] & met.reshape(-1, len(BODY_GROUP_NAMES)),
        "body_group_detail": [
            "; ".join(f"{limb}: {said}" for limb, said in own.items()) if own and body else None
            for own, body in zip(limbs, bodies, strict=True)
        ],
        **{f"{what}_valid": faces & face[f"{what}_valid"][rows] for what in ("eyes", "eyelids")},
        **state,
    }


def _failed_rows(people: Columns, state: Mapping[str, Values], schema: pa.Schema) -> pa.Table:
    """Rows of people without a label: what is known of them, and why there is none."""
    unfound: dict[str, Values] = {
        f"{part}_valid": np.zeros(people.num_rows, bool) for part in (*PART_NAMES, "eyes", "eyelids")
    }
    unfound["body_group_valid"] = np.zeros((people.num_rows, len(BODY_GROUP_NAMES)), bool)
    return table_from_columns({name: people.table[name] for name in _COPIED} | unfound | dict(state), schema)


def _limb_doubts(people: Columns, fit: Reprojection, place: int, row: int) -> dict[str, str]:
    """What is said against limbs of a person, by their names: by the 2D points, or that the fit does not meet them.

    Args:
        people: Keypoints of the people with a label.
        fit: Of all people.
        place: Number of the person among the former.
        row: And among the latter.
    """
    trusted = people["body_group_valid"][place]
    said = {
        limb: fit.limb_doubt(row, k) if trusted[k] else people[f"{limb}_detail"][place]
        for k, limb in enumerate(BODY_GROUP_NAMES)
    }
    return {limb: doubt for limb, doubt in said.items() if doubt is not None}


def _validity_state(
    valid: np.ndarray, parts: dict[str, Columns], fit: Reprojection, row: int
) -> tuple[Status, ErrorCode | None, str | None]:
    """ok when every part may supervise, failed when none may, else partial, with the reason of each that may not."""
    if valid.all():
        return Status.OK, None, None
    refused = {part: _reason(part, parts, fit, row) for part, good in zip(PART_NAMES, valid, strict=True) if not good}
    status = Status.PARTIAL if valid.any() else Status.FAILED
    return status, next(iter(refused.values())).code, parts_detail(refused)


def _reason(part: str, parts: dict[str, Columns], fit: Reprojection, row: int) -> Refusal:
    """Why a part is not valid: its estimator's reason, its 2D points', their number, or that the fit misses them."""
    estimator, prefix = _STATED_BY[part]
    code, detail = (parts[estimator][f"{prefix}{name}"][row] for name in ("error_code", "error_detail"))
    if code is not None:
        return Refusal(ErrorCode(code), detail)
    if not parts["keypoints"]["part_valid"][row, PART_NAMES.index(part)]:
        return Refusal(ErrorCode.ESTIMATOR_REFUSED, parts["keypoints"][f"{part}_detail"][row])
    too_few = fit.lack(row, PART_NAMES.index(part))
    if too_few is not None:
        return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, too_few)
    code = ErrorCode.REPROJECTION_TOO_LARGE
    return fit.doubt(row, PART_NAMES.index(part)) or Refusal(code, code.sentence)
