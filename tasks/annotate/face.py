"""Step `face` of a shard: coarse FLAME parameters and the head's orientation."""

from __future__ import annotations

from typing import Any

from datasets_manifest.schema.labels import FACE_SCHEMA, ErrorCode
from model.estimators.base import FaceOutput
from tasks.annotate.parts import annotate_part, part_state, to_rotvec
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary
from tasks.annotate.workspace import ShardRef, Workspace

COPIED = ("flame_shape", "flame_expression", "jaw_pose", "eye_pose", "eyelids")


def annotate_face(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Annotates the faces of one shard, see ``tasks.annotate.parts.annotate_part``."""
    return annotate_part("face", shard, workspace, config, FACE_SCHEMA, face_rows, {"valid": False})


def face_rows(output: FaceOutput) -> list[dict[str, Any]]:
    """Turns an estimator's output into the columns of the face file, a row a person."""
    head = to_rotvec(output.head_orient)
    rows = []
    for i, valid in enumerate(output.valid):
        reason = None if valid else output.reasons[i] or ErrorCode.ESTIMATOR_REFUSED
        rows.append(
            {
                "valid": bool(valid),
                "score": float(output.score[i]),
                **{name: getattr(output, name)[i] for name in COPIED},
                "head_orient": head[i],
                "sigma_rad": float(output.sigma_rad[i]),
                **part_state(reason),
            }
        )
    return rows
