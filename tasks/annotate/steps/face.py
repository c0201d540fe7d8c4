"""Step `face` of a shard: coarse FLAME parameters and the head's orientation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Values
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from datasets_manifest.schema.labels import ErrorCode
from datasets_manifest.schema.part_files import face_schema
from model.estimators.base import FaceOutput
from model.estimators.refusals import refusals
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import annotate_part, of_width, part_states, to_rotvec

FLAGS = ("valid", "eyes_valid", "eyelids_valid")
COPIED = ("jaw_pose", "eye_pose", "eyelids")


def annotate_face(job: ShardJob) -> pa.Table:
    """Annotates the faces of one shard, see ``tasks.annotate.steps.parts.annotate_part``."""
    size = job.size
    return annotate_part("face", job, face_schema(size), lambda output: face_columns(output, size), FLAGS)


def face_columns(output: FaceOutput, size: BodySize = DEFAULT_SIZE) -> dict[str, Values]:
    """Turns an estimator's output into the columns of the face file, a row a person."""
    reasons = refusals(output.valid, output.reasons, ErrorCode.ESTIMATOR_REFUSED)
    return {
        **{name: np.asarray(getattr(output, name), bool) for name in FLAGS},
        "score": output.score,
        "flame_shape": of_width(output.flame_shape, size.num_flame_shape),
        "flame_expression": of_width(output.flame_expression, size.num_expression),
        **{name: getattr(output, name) for name in COPIED},
        "head_orient": to_rotvec(output.head_orient),
        "sigma_rad": output.sigma_rad,
        **part_states([{"face": reason} for reason in reasons]),
    }
