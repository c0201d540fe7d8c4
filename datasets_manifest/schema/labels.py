"""The label schema and the schemas of the intermediate parts: every column with its meaning, unit, frame and length.

Vectors are Arrow ``list<float32>`` of a fixed length, in C order; ``numpy.stack(df["body_pose"])`` gives the matrix.
Image: x right, y down, pixels. Camera frame: x right, y down, z forward, metres. Rotations: axis-angle, radians.
"""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import (
    BODY_GROUP_NAMES,
    CAMERA,
    COEFFICIENTS,
    DEFAULT_SIZE,
    EHM_FIELDS,
    LABEL_PARAMETERS,
    ONE,
    PART_NAMES,
    RAD,
    BodySize,
)
from datasets_manifest.schema.error_codes import ERROR_SENTENCES, BoxSource, ErrorCode, Refusal, Status
from datasets_manifest.schema.fields import (
    ARRAY_MAP,
    CATEGORY,
    FLAGS,
    FLOATS,
    SHAPE_MAP,
    column,
    field_note,
    fixed_length,
)

__all__ = [
    "BODY_GROUP_NAMES",
    "BODY_SCHEMA",
    "ERROR_SENTENCES",
    "FACE_SCHEMA",
    "HANDS_SCHEMA",
    "KEY_COLUMNS",
    "KEYPOINTS_SCHEMA",
    "LABEL_SCHEMA",
    "NUM_KEYPOINTS",
    "PART_NAMES",
    "PART_SCHEMAS",
    "PERSON_UNKNOWN",
    "PLAN_SCHEMA",
    "SCHEMA_VERSION",
    "BoxSource",
    "ErrorCode",
    "Refusal",
    "Status",
    "field_note",
    "fixed_length",
    "image_id_of",
    "body_schema",
    "face_schema",
    "label_schema",
    "make_sample_id",
    "parameter_columns",
    "with_widths",
]

SCHEMA_VERSION = 4
"""Version of every schema here and of predictions; it rises with any change of a column. 2: labels have `joint_seen`.
3: keypoints and hands say of each part why it is not trusted. 4: a quality of each part, flags of limbs, eyes and
eyelids; what a plan called `evidence` is called `truth`; predictions say which parts were seen."""

NUM_KEYPOINTS = 133
"""COCO-WholeBody points: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand."""

_GROUPS_TEXT = ", ".join(name.replace("_", " ") for name in BODY_GROUP_NAMES)

PERSON_UNKNOWN = -1
"""``person`` in a plan row whose image still has to be searched for people."""

KEY_COLUMNS = ("sample_id", "dataset", "split", "image", "image_width", "image_height", "person")
"""Whom a row is about; the first columns of every shard."""

PX = "px"
IMAGE = "image: x right, y down, after EXIF orientation"


def make_sample_id(dataset: str, split: str, image_id: str, person: int) -> str:
    """Return ``<dataset>/<split>/<image id>#<person>``, unique in a data set and stable between runs."""
    return f"{dataset}/{split}/{image_id}#{person}"


def image_id_of(sample_id: str) -> str:
    """Return the image id inside a sample_id (data set and split have no slash, so the rest up to the last # is it)."""
    return sample_id.split("/", 2)[2].rpartition("#")[0]


def _key_columns() -> list[pa.Field]:
    return [
        column("sample_id", pa.string(), "<dataset>/<split>/<image id>#<person>, unique in a data set", required=True),
        column("dataset", pa.string(), "id of the manifest", required=True),
        column("split", pa.string(), "train, val, test or all, as the manifest says", required=True),
        column("image", pa.string(), "path relative to the data set's root", required=True),
        column("image_width", pa.int32(), "width after EXIF orientation; null when not known", unit=PX),
        column("image_height", pa.int32(), "height after EXIF orientation; null when not known", unit=PX),
        column("person", pa.int16(), "index within the image; 0 when the image itself failed", required=True),
    ]


def _state_columns() -> list[pa.Field]:
    return [
        column("status", CATEGORY, "ok, partial or failed", required=True),
        column("error_code", CATEGORY, "reason from a closed set; null when ok"),
        column("error_detail", pa.string(), "what was expected and what came, for this sample; null when ok"),
    ]


def _box_columns() -> list[pa.Field]:
    return [
        column("bbox_xyxy", FLOATS, "person box: left, top, right, bottom", unit=PX, frame=IMAGE, shape=(4,)),
        column("bbox_source", CATEGORY, "where the box comes from: manifest, detector or keypoints"),
    ]


def _keypoints_column() -> pa.Field:
    text = "COCO-WholeBody order: x, y and a calibrated score 0..1 (0 = not seen)"
    return column("keypoints_2d", FLOATS, text, unit="px, px, 1", frame=IMAGE, shape=(NUM_KEYPOINTS, 3))


def _camera_columns() -> list[pa.Field]:
    return [
        column("focal_px", pa.float32(), "focal length of the full image's pinhole camera", unit=PX),
        column("principal_px", FLOATS, "principal point of the full image", unit=PX, frame=IMAGE, shape=(2,)),
    ]


def parameter_columns(*names: str, size: BodySize = DEFAULT_SIZE) -> list[pa.Field]:
    """Columns of EHM-s parameters, in the order of their table."""
    return [
        column(f.name, FLOATS, f.sentence, unit=f.unit, frame=f.frame, shape=f.column_shape(size))
        for f in EHM_FIELDS
        if f.name in names
    ]


def label_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """Return the schema of ``labels/`` for people of some size."""
    return pa.schema(
        [
            *_key_columns(),
            *_box_columns(),
            *_state_columns(),
            _keypoints_column(),
            *_camera_columns(),
            *parameter_columns(*LABEL_PARAMETERS, size=size),
            column("hand_scale", FLOATS, "scale of the hands; 1 unless a source has it", unit=ONE, shape=(3,)),
            column(
                "body_valid",
                pa.bool_(),
                "may the body supervise a model; where a hand is the only valid part, nothing else may be known, and "
                "global_orient, body_pose and transl_m then only carry the wrist to its place and orientation in the "
                "camera frame, which is that of the chain as in every row",
                required=True,
            ),
            column("left_hand_valid", pa.bool_(), "may the left hand supervise a model", required=True),
            column("right_hand_valid", pa.bool_(), "may the right hand supervise a model", required=True),
            column("face_valid", pa.bool_(), "may the face supervise a model", required=True),
            column(
                "body_group_valid",
                FLAGS,
                f"{_GROUPS_TEXT}: may the limb supervise a model; false throughout where the body is not valid",
                shape=(len(BODY_GROUP_NAMES),),
            ),
            column("body_group_detail", pa.string(), "why limbs of a valid body may not; null where all may"),
            column(
                "eyes_valid",
                pa.bool_(),
                "may eye_pose supervise a model: the face is valid and its estimator looks where the eyes look",
            ),
            column(
                "eyelids_valid",
                pa.bool_(),
                "may the eyelids supervise a model: the face is valid and its estimator looks at them",
            ),
            column("reproj_body_px", pa.float32(), "median residual over the body's inliers", unit=PX),
            column("reproj_left_hand_px", pa.float32(), "median residual over the left hand's inliers", unit=PX),
            column("reproj_right_hand_px", pa.float32(), "median residual over the right hand's inliers", unit=PX),
            column("reproj_face_px", pa.float32(), "median residual over the face's inliers", unit=PX),
            column("reproj_rel", pa.float32(), "median residual of all inliers over the box's longer side", unit=ONE),
            column("inlier_ratio", pa.float32(), "share of the seen keypoints that are inliers", unit=ONE),
            column(
                "joint_seen",
                FLAGS,
                "root and 21 body joints: does some inlier keypoint show how it is turned; if not, it is at its prior",
                shape=(22,),
            ),
            column(
                "moved_rad",
                pa.float32(),
                "mean turn of root and body joints since the start",
                unit=RAD,
            ),
            column("iterations", pa.int32(), "solver steps taken", unit=ONE),
            column("converged", pa.bool_(), "the cost no longer fell, and half of the keypoints are met"),
            *(
                column(
                    f"{part}_quality",
                    pa.float32(),
                    f"of the {part.replace('_', ' ')}: 0..1, falling with the error that people with known truth have",
                    unit=ONE,
                )
                for part in PART_NAMES
            ),
            column(
                "quality",
                pa.float32(),
                "body_quality as schema versions before 4 call it: of the body alone, nothing about hands and face",
                unit=ONE,
            ),
        ]
    )


def _plan_schema() -> pa.Schema:
    return pa.schema(
        [
            *_key_columns()[:-1],
            column("person", pa.int16(), "index within the image; -1 = people still to be found", required=True),
            *_state_columns(),
            *_box_columns(),
            _keypoints_column(),
            *_camera_columns(),
            column("truth", ARRAY_MAP, "named float arrays of known truth (synthetic data only), flat"),
            column("truth_shape", SHAPE_MAP, "shape of each array in truth"),
        ]
    )


def _keypoints_schema() -> pa.Schema:
    sigma = "calibrated standard deviation of a keypoint; infinity where not seen"
    return pa.schema(
        [
            *_key_columns(),
            *_state_columns(),
            *_box_columns(),
            column("detection_score", pa.float32(), "calibrated score of the person's box, 0..1", unit=ONE),
            _keypoints_column(),
            column("sigma_px", FLOATS, sigma, unit=PX, frame=IMAGE, shape=(NUM_KEYPOINTS,), finite=False),
            column("part_valid", FLAGS, "body, left hand, right hand, face: are the 2D points trusted", shape=(4,)),
            *(
                column(f"{part}_detail", pa.string(), f"what the {part}'s 2D points lack to be trusted; null if valid")
                for part in PART_NAMES
            ),
            column(
                "body_group_valid",
                FLAGS,
                f"{_GROUPS_TEXT}: are the limb's 2D points trusted",
                shape=(len(BODY_GROUP_NAMES),),
            ),
            *(
                column(f"{group}_detail", pa.string(), "what the limb's 2D points lack to be trusted; null if trusted")
                for group in BODY_GROUP_NAMES
            ),
            *_camera_columns(),
            column("evidence", ARRAY_MAP, "named float arrays the later estimators use, flat; NaN = not there"),
            column("evidence_shape", SHAPE_MAP, "shape of each array in evidence"),
        ]
    )


def body_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """Return the schema of the body part for people of some size."""
    return pa.schema(
        [
            *_key_columns(),
            *_state_columns(),
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
    return pa.schema([*_key_columns(), *_state_columns(), *sides])


def face_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """Return the schema of the face part for people of some size."""
    return pa.schema(
        [
            *_key_columns(),
            *_state_columns(),
            column("valid", pa.bool_(), "is the face trusted", required=True),
            column("eyes_valid", pa.bool_(), "does eye_pose say where the eyes look", required=True),
            column("eyelids_valid", pa.bool_(), "do the eyelids say how far they are closed", required=True),
            column("score", pa.float32(), "the estimator's own score, 0..1", unit=ONE),
            *parameter_columns(*(f.name for f in EHM_FIELDS if f.part == "face" and f.name != "head_scale"), size=size),
            column("sigma_rad", pa.float32(), "standard deviation of the head's rotation", unit=RAD, finite=False),
        ]
    )


def with_widths(schema: pa.Schema, found: pa.Schema) -> pa.Schema:
    """A schema with the numbers of coefficients that another one, of a file, states."""

    def stated(field: pa.Field) -> pa.Field:
        is_told = field.name in COEFFICIENTS and field.name in found.names
        other = found.field(field.name) if is_told else field
        return field if fixed_length(other) == fixed_length(field) else other

    return pa.schema([stated(field) for field in schema])


LABEL_SCHEMA = label_schema()
PLAN_SCHEMA = _plan_schema()
KEYPOINTS_SCHEMA = _keypoints_schema()
BODY_SCHEMA = body_schema()
HANDS_SCHEMA = _hands_schema()
FACE_SCHEMA = face_schema()

PART_SCHEMAS: dict[str, pa.Schema] = {
    "plan": PLAN_SCHEMA,
    "keypoints": KEYPOINTS_SCHEMA,
    "body": BODY_SCHEMA,
    "hands": HANDS_SCHEMA,
    "face": FACE_SCHEMA,
    "labels": LABEL_SCHEMA,
}
"""Schema of each kind of shard by the name of its folder under ``parts/`` (and ``labels``)."""
