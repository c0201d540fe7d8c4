"""Schemas of what a run has under way: the plan of a shard, and what each step before the labels writes."""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import (
    BODY_GROUP_NAMES,
    CAMERA,
    DEFAULT_SIZE,
    EHM_FIELDS,
    ONE,
    PART_NAMES,
    RAD,
    BodySize,
)
from datasets_manifest.schema.fields import ARRAY_MAP, CATEGORY, FLAGS, FLOATS, SHAPE_MAP, column
from datasets_manifest.schema.group_columns import (
    NUM_LENS_COEFFICIENTS,
    camera_track_column,
    lens_columns,
    place_columns,
    planned_track_column,
)
from datasets_manifest.schema.person_columns import (
    GROUPS_TEXT,
    IMAGE,
    NUM_KEYPOINTS,
    PX,
    box_columns,
    camera_columns,
    key_columns,
    keypoints_column,
    parameter_columns,
    state_columns,
)
from datasets_manifest.schema.rle import mask_column
from datasets_manifest.schema.trusted import other_point_columns, trusted_column
from datasets_manifest.schema.truth_3d import truth_3d_columns

PERSON_UNKNOWN = -1
"""``person`` in a plan row whose image still has to be searched for people."""


def plan_schema(
    *,
    in_groups: bool = False,
    optional: Container[str] | None = (),
    num_coefficients: int = NUM_LENS_COEFFICIENTS,
) -> pa.Schema:
    """Return the schema of plans.

    Args:
        in_groups: Whether it has the columns of groups.
        optional: Which of the other optional columns it has; None for all.
        num_coefficients: Of lenses.
    """
    lenses = lens_columns(num_coefficients)
    in_group = [*place_columns(), *lenses, planned_track_column()] if in_groups else []
    alone = [] if in_groups else lenses
    others = [*alone, *other_point_columns(), *truth_3d_columns(), trusted_column(), mask_column()]
    return pa.schema(
        [
            *key_columns()[:-1],
            column("person", pa.int16(), "index within the image; -1 = people still to be found", required=True),
            *state_columns(),
            *box_columns(),
            keypoints_column(),
            *camera_columns(),
            column("truth", ARRAY_MAP, "named float arrays of known truth (synthetic data only), flat"),
            column("truth_shape", SHAPE_MAP, "shape of each array in truth"),
            *in_group,
            *(field for field in others if optional is None or field.name in optional),
        ]
    )


def keypoints_schema(*, in_groups: bool = False, has_trust: bool = False) -> pa.Schema:
    """Return the schema of keypoints, with the tracks of groups or without, and whether parts are trusted or not."""
    sigma = "calibrated standard deviation of a keypoint; infinity where not seen"
    return pa.schema(
        [
            *key_columns(),
            *state_columns(),
            *box_columns(),
            column("detection_score", pa.float32(), "calibrated score of the person's box, 0..1", unit=ONE),
            keypoints_column(),
            column("sigma_px", FLOATS, sigma, unit=PX, frame=IMAGE, shape=(NUM_KEYPOINTS,), finite=False),
            column("part_valid", FLAGS, "body, left hand, right hand, face: are the 2D points trusted", shape=(4,)),
            *(
                column(f"{part}_detail", pa.string(), f"what the {part}'s 2D points lack to be trusted; null if valid")
                for part in PART_NAMES
            ),
            column(
                "body_group_valid",
                FLAGS,
                f"{GROUPS_TEXT}: are the limb's 2D points trusted",
                shape=(len(BODY_GROUP_NAMES),),
            ),
            *(
                column(f"{group}_detail", pa.string(), "what the limb's 2D points lack to be trusted; null if trusted")
                for group in BODY_GROUP_NAMES
            ),
            *camera_columns(),
            column("evidence", ARRAY_MAP, "named float arrays the later estimators use, flat; NaN = not there"),
            column("evidence_shape", SHAPE_MAP, "shape of each array in evidence"),
            *((camera_track_column(),) if in_groups else ()),
            *((trusted_column(),) if has_trust else ()),
        ]
    )


def body_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """Return the schema of the body part for people of some size."""
    return pa.schema(
        [
            *key_columns(),
            *state_columns(),
            column("valid", pa.bool_(), "is the body's pose trusted", required=True),
            column("score", pa.float32(), "the estimator's own score, 0..1", unit=ONE),
            *parameter_columns("global_orient", "body_pose", "betas", size=size),
            column(
                "sigma_rad", FLOATS, "standard deviation of root and 21 joints", unit=RAD, shape=(22,), finite=False
            ),
        ]
    )


def _hands_schema() -> pa.Schema:
    sides: list[pa.Field] = []
    for side in ("left", "right"):
        sides += [
            column(f"{side}_valid", pa.bool_(), f"is the {side} hand's pose trusted", required=True),
            column(f"{side}_score", pa.float32(), "the estimator's own score, 0..1", unit=ONE),
            column(f"{side}_error_code", CATEGORY, f"why the {side} hand is not trusted; null when valid"),
            column(f"{side}_error_detail", pa.string(), "what was measured and what is allowed; null when valid"),
            *parameter_columns(f"{side}_hand_pose"),
            column(f"{side}_wrist_orient", FLOATS, "wrist, axis-angle", unit=RAD, frame=CAMERA, shape=(3,)),
            column(f"{side}_sigma_rad", pa.float32(), "standard deviation of the pose", unit=RAD, finite=False),
        ]
    return pa.schema([*key_columns(), *state_columns(), *sides])


def face_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """Return the schema of the face part for people of some size."""
    return pa.schema(
        [
            *key_columns(),
            *state_columns(),
            column("valid", pa.bool_(), "is the face trusted", required=True),
            column("eyes_valid", pa.bool_(), "does eye_pose say where the eyes look", required=True),
            column("eyelids_valid", pa.bool_(), "do the eyelids say how far they are closed", required=True),
            column("score", pa.float32(), "the estimator's own score, 0..1", unit=ONE),
            *parameter_columns(*(f.name for f in EHM_FIELDS if f.part == "face" and f.name != "head_scale"), size=size),
            column("sigma_rad", pa.float32(), "standard deviation of the head's rotation", unit=RAD, finite=False),
        ]
    )


PLAN_SCHEMA = plan_schema()
KEYPOINTS_SCHEMA = keypoints_schema()
BODY_SCHEMA = body_schema()
HANDS_SCHEMA = _hands_schema()
FACE_SCHEMA = face_schema()

PART_SCHEMAS: dict[str, pa.Schema] = {
    "plan": plan_schema(in_groups=True, optional=None),
    "keypoints": keypoints_schema(in_groups=True, has_trust=True),
    "body": BODY_SCHEMA,
    "hands": HANDS_SCHEMA,
    "face": FACE_SCHEMA,
}
"""Schema of each kind of file by the name of its folder under ``work/`` and ``work/parts/``, optional columns too."""
