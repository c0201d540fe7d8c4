"""Step `face` of a shard: coarse FLAME parameters and the head's orientation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Values
from datasets_manifest.schema.labels import FACE_SCHEMA, ErrorCode
from model.estimators.base import FaceOutput
from model.estimators.refusals import refusals
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import annotate_part, part_states, to_rotvec

FLAGS = ("valid", "eyes_valid", "eyelids_valid")
COPIED = ("flame_shape", "flame_expression", "jaw_pose", "eye_pose", "eyelids")


def annotate_face(job: ShardJob) -> pa.Table:
    """Annotates the faces of one shard, see ``tasks.annotate.steps.parts.annotate_part``."""
    return annotate_part("face", job, FACE_SCHEMA, face_columns, FLAGS)


def face_columns(output: FaceOutput) -> dict[str, Values]:
    """Turns an estimator's output into the columns of the face file, a row a person."""
    reasons = refusals(output.valid, output.reasons, ErrorCode.ESTIMATOR_REFUSED)
    return {
        **{name: np.asarray(getattr(output, name), bool) for name in FLAGS},
        "score": output.score,
        **{name: getattr(output, name) for name in COPIED},
        "head_orient": to_rotvec(output.head_orient),
        "sigma_rad": output.sigma_rad,
        **part_states([{"face": reason} for reason in reasons]),
    }
