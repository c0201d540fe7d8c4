"""Label rows: of people with a fitted body its parameters and what of them may supervise a model, of others why they
have none.

A part is valid if its 2D points were trusted, its estimator or its keypoints gave enough, and the fitted body meets
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.labels import (
    BODY_GROUP_NAMES,
    KEY_COLUMNS,
    LABEL_SCHEMA,
    PART_NAMES,
    ErrorCode,
    Refusal,
    Status,
)
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from fitting.refine import RefineResult
from fitting.refine import Status as FitStatus
from fitting.reprojection import Reprojection
from tasks.annotate.steps.parts import STATE_COLUMNS, parts_detail
from tasks.annotate.steps.pixels import PixelOutcome
from tasks.annotate.steps.trust import trusted_of, untrusted

_STATED_BY = {
    "body": ("body", ""),
    "left_hand": ("hands", "left_"),
    "right_hand": ("hands", "right_"),
    "face": ("face", ""),
}
"""Step and prefix of the columns that say why a part is not valid."""
COPIED_COLUMNS = (*KEY_COLUMNS, "bbox_xyxy", "bbox_source", "keypoints_2d", "focal_px", "principal_px")
# A fit that stalled or ran out of steps has a best iterate, which is judged by its residuals like any other; the column
# `converged` tells.
FIT_FAILED = {FitStatus.NOT_FINITE: ErrorCode.FIT_NOT_FINITE, FitStatus.NO_DATA: ErrorCode.KEYPOINTS_TOO_FEW}


def label_table(
    parts: dict[str, Columns],
    result: RefineResult,
    schema: pa.Schema = LABEL_SCHEMA,
    outcome: PixelOutcome | None = None,
    bridged: Sequence[str | None] | None = None,
) -> pa.Table:
    """Labels of the refined (P,) people, in their order.

    Args:
        parts: Rows of the people.
        result: Their fit.
        schema: Of the labels.
        outcome: What pixels changed, where they refined them.
        bridged: Of rows that show nobody and have the label that leads through them, which those are; else None.
    """
    people = parts["keypoints"]
    bridged = [None] * people.num_rows if bridged is None else bridged
    # Keypoints alone, without any body estimate, leave front and back and every depth to chance.
    trusted = people["part_valid"].copy()
    trusted[:, PART_NAMES.index("body")] &= parts["body"]["valid"]
    valid = result.part_valid.numpy().astype(bool) & trusted
    states = np.empty((people.num_rows, len(STATE_COLUMNS)), object)
    for row, (status, led) in enumerate(zip(result.status, bridged, strict=True)):
        if led is not None:
            states[row] = Status.PARTIAL, ErrorCode.BRIDGED, led
        elif (code := FIT_FAILED.get(FitStatus(int(status)))) is not None:
            states[row] = Status.FAILED, code, code.sentence
        else:
            states[row] = _validity_state(valid[row], parts, result.reprojection, row)
    is_labelled = states[:, 0] != Status.FAILED
    labelled, failed = (
        {name: states[rows, k] for k, name in enumerate(STATE_COLUMNS)} for rows in (is_labelled, ~is_labelled)
    )
    columns = _labelled_columns(parts, result, valid, np.flatnonzero(is_labelled), labelled)
    if outcome is not None:
        columns |= outcome.columns(np.flatnonzero(is_labelled))
    tables = [table_from_columns(columns, schema), failed_rows(people.take(~is_labelled), schema, failed)]
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
        **{name: kept.table[name] for name in COPIED_COLUMNS},
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


def failed_rows(people: Columns, schema: pa.Schema, state: Mapping[str, Values] | None = None) -> pa.Table:
    """Rows of people without a label: what is known of them, and why there is none; as they say, without ``state``."""
    state = {name: people.table[name] for name in STATE_COLUMNS} if state is None else state
    unfound: dict[str, Values] = {
        f"{part}_valid": np.zeros(people.num_rows, bool) for part in (*PART_NAMES, "eyes", "eyelids")
    }
    unfound["body_group_valid"] = np.zeros((people.num_rows, len(BODY_GROUP_NAMES)), bool)
    return table_from_columns({name: people.table[name] for name in COPIED_COLUMNS} | unfound | dict(state), schema)


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
    """Why a part is not valid: the data set's reason, its estimator's, its 2D points', their number, or that the fit
    misses them."""
    if not trusted_of(parts["keypoints"])[row, TRUSTED_PARTS.index(part)]:
        return untrusted(part)
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
