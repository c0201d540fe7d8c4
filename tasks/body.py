"""Step `body` of a shard: coarse SMPL-X body pose."""

from __future__ import annotations

from typing import Any

from datasets_manifest.labels import BODY_SCHEMA, ErrorCode
from model.estimators.base import BodyOutput
from tasks.config import AnnotateConfig
from tasks.parts import annotate_part, part_state, to_rotvec
from tasks.step import ShardSummary
from tasks.workspace import ShardRef, Workspace


def annotate_body(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Annotates the bodies of one shard, see ``tasks.parts.annotate_part``."""
    return annotate_part("body", shard, workspace, config, BODY_SCHEMA, body_rows, {"valid": False})


def body_rows(output: BodyOutput) -> list[dict[str, Any]]:
    """Turns an estimator's output into the columns of the body file, a row a person."""
    orient, pose = to_rotvec(output.global_orient), to_rotvec(output.body_pose)
    rows = []
    for i, valid in enumerate(output.valid):
        reason = None if valid else output.reasons[i] or ErrorCode.BODY_NOT_FOUND
        rows.append(
            {
                "valid": bool(valid),
                "score": float(output.score[i]),
                "global_orient": orient[i],
                "body_pose": pose[i],
                "betas": output.betas[i],
                "sigma_rad": output.sigma_rad[i],
                **part_state(reason),
            }
        )
    return rows
