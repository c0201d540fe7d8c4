"""Step `hands` of a shard: coarse finger poses and wrist orientations of both hands."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Values
from datasets_manifest.schema.labels import ErrorCode
from datasets_manifest.schema.part_files import HANDS_SCHEMA
from model.estimators.base import HandsOutput
from model.estimators.refusals import refusals
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import annotate_part, part_states, to_rotvec

SIDES = ("left", "right")


def annotate_hands(job: ShardJob) -> pa.Table:
    """Annotates the hands of one shard, see ``tasks.annotate.steps.parts.annotate_part``."""
    return annotate_part("hands", job, HANDS_SCHEMA, hands_columns, [f"{side}_valid" for side in SIDES])


def hands_columns(output: HandsOutput) -> dict[str, Values]:
    """Turns an estimator's output into the columns of the hands file, a row a person."""
    pose, wrist, valid = to_rotvec(output.hand_pose), to_rotvec(output.wrist_orient), np.asarray(output.valid, bool)
    reasons = {
        f"{side}_hand": refusals(valid[:, k], [both[k] for both in output.reasons], ErrorCode.ESTIMATOR_REFUSED)
        for k, side in enumerate(SIDES)
    }
    people = [dict(zip(reasons, both, strict=True)) for both in zip(*reasons.values(), strict=True)]
    columns: dict[str, Values] = {**part_states(people)}
    for k, side in enumerate(SIDES):
        own = reasons[f"{side}_hand"]
        columns |= {
            f"{side}_valid": valid[:, k],
            f"{side}_score": output.score[:, k],
            f"{side}_error_code": [reason and reason.code for reason in own],
            f"{side}_error_detail": [reason and reason.detail for reason in own],
            f"{side}_hand_pose": pose[:, k],
            f"{side}_wrist_orient": wrist[:, k],
            f"{side}_sigma_rad": output.sigma_rad[:, k],
        }
    return columns
