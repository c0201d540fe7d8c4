"""Step `hands` of a shard: coarse finger poses and wrist orientations of both hands."""

from __future__ import annotations

from typing import Any

from datasets_manifest.schema.labels import HANDS_SCHEMA, ErrorCode
from model.estimators.base import HandsOutput
from tasks.annotate.parts import annotate_part, part_state, to_rotvec
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary
from tasks.annotate.workspace import ShardRef, Workspace

SIDES = ("left", "right")


def annotate_hands(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Annotates the hands of one shard, see ``tasks.annotate.parts.annotate_part``."""
    empty = {f"{side}_valid": False for side in SIDES}
    return annotate_part("hands", shard, workspace, config, HANDS_SCHEMA, hands_rows, empty)


def hands_rows(output: HandsOutput) -> list[dict[str, Any]]:
    """Turns an estimator's output into the columns of the hands file, a row a person."""
    pose, wrist = to_rotvec(output.hand_pose), to_rotvec(output.wrist_orient)
    rows = []
    for i in range(len(output.valid)):
        row: dict[str, Any] = {}
        reasons = []
        for k, side in enumerate(SIDES):
            valid = bool(output.valid[i, k])
            reason = None if valid else ErrorCode(output.reasons[i][k] or ErrorCode.ESTIMATOR_REFUSED)
            reasons.append(reason)
            row |= {
                f"{side}_valid": valid,
                f"{side}_score": float(output.score[i, k]),
                f"{side}_error_code": reason,
                f"{side}_hand_pose": pose[i, k],
                f"{side}_wrist_orient": wrist[i, k],
                f"{side}_sigma_rad": float(output.sigma_rad[i, k]),
            }
        rows.append(row | part_state(*reasons))
    return rows
