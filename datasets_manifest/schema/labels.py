"""The label schema: every column with its meaning, unit, frame and length.

Vectors are Arrow ``list<float32>`` of a fixed length, in C order; ``numpy.stack(df["body_pose"])`` gives the matrix.
Image: x right, y down, pixels. Camera frame: x right, y down, z forward, metres. Rotations: axis-angle, radians.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import (
    BODY_GROUP_NAMES,
    COEFFICIENTS,
    DEFAULT_SIZE,
    LABEL_PARAMETERS,
    ONE,
    PART_NAMES,
    RAD,
    BodySize,
)
from datasets_manifest.schema.error_codes import ERROR_SENTENCES, BoxSource, ErrorCode, Refusal, Status
from datasets_manifest.schema.fields import (
    ARRAY_MAP,
    FLAGS,
    FLOATS,
    SHAPE_MAP,
    column,
    field_note,
    fixed_length,
)
from datasets_manifest.schema.group_columns import group_columns, lens_columns
from datasets_manifest.schema.person_columns import (
    GROUPS_TEXT,
    KEY_COLUMNS,
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

__all__ = [
    "BODY_GROUP_NAMES",
    "ERROR_SENTENCES",
    "KEY_COLUMNS",
    "LABEL_SCHEMA",
    "NUM_KEYPOINTS",
    "PART_NAMES",
    "PIXEL_COLUMNS",
    "PIXEL_PARTS",
    "SCHEMA_VERSION",
    "BoxSource",
    "ErrorCode",
    "Refusal",
    "Status",
    "field_note",
    "fixed_length",
    "image_id_of",
    "label_schema",
    "make_sample_id",
    "make_sample_ids",
    "parameter_columns",
    "with_widths",
]

SCHEMA_VERSION = 4
"""Version of all schemas: labels, plans, part files, predictions; it rises with any change of a column. 2: labels have
`joint_seen`. 3: keypoints and hands say of each part why it is not trusted. 4: a quality of each part, flags of limbs,
eyes and eyelids; what a plan called `evidence` is called `truth`; predictions say which parts were seen."""


def make_sample_id(dataset: str, split: str, image_id: str, person: int) -> str:
    """Return ``<dataset>/<split>/<image id>#<person>``, unique in a data set and stable between runs."""
    return make_sample_ids(dataset, split, [image_id], [person])[0]


def make_sample_ids(dataset: str, split: str, image_ids: Iterable[str], people: Iterable[int]) -> list[str]:
    """The same of many people."""
    return [f"{dataset}/{split}/{image_id}#{person}" for image_id, person in zip(image_ids, people, strict=True)]


def image_id_of(sample_id: str) -> str:
    """Return the image id inside a sample_id (data set and split have no slash, so the rest up to the last # is it)."""
    return sample_id.split("/", 2)[2].rpartition("#")[0]


PIXEL_PARTS = ("left_hand", "right_hand", "head")
"""Parts that pixels refine, in the order of ``photometric_gain``."""


def pixel_columns() -> list[pa.Field]:
    """Columns of labels that were refined by pixels; the files of others do not have them."""
    parts = ", ".join(part.replace("_", " ") for part in PIXEL_PARTS)
    return [
        column(
            "photometric_gain",
            FLOATS,
            f"{parts}: share by which the difference between the photo and the drawn person fell; NaN where the part "
            "is as keypoints alone have it",
            unit=ONE,
            shape=(len(PIXEL_PARTS),),
            finite=False,
        ),
        column("photometric_detail", pa.string(), "why parts are as keypoints alone have them; null where all changed"),
        column("mask_source", pa.string(), "what says which pixels are the person; null where nothing does"),
        column(
            "before_pixels",
            ARRAY_MAP,
            "parameters that pixels changed, as keypoints alone had them; null where nothing changed",
        ),
        column("before_pixels_shape", SHAPE_MAP, "their shapes"),
    ]


PIXEL_COLUMNS = tuple(field.name for field in pixel_columns())


def label_source_column() -> pa.Field:
    """What labels come from, where the data set knows people in 3D."""
    return column(
        "label_source",
        pa.string(),
        "estimators: the parts and the keypoints of the photo alone; points in 3D: those that the data set ships as "
        "well; points relative to the root: likewise, known but for a shift; body in 3D: its body in the place of the "
        "body estimator's, hands and face where they are named (body, left hand, face in 3D); or a body and points; "
        "null where there is no label",
        optional=True,
    )


def label_schema(
    size: BodySize = DEFAULT_SIZE,
    *,
    by_pixels: bool = False,
    in_groups: bool = False,
    has_lens: bool = False,
    has_truth: bool = False,
    has_mask: bool = False,
) -> pa.Schema:
    """Return the schema of ``labels/`` for people of some size, with the columns of refinement by pixels, of groups,
    (which groups have anyway) of lenses, and of data sets that know people in 3D or by masks, or without."""
    return pa.schema(
        [
            *key_columns(),
            *box_columns(),
            *state_columns(),
            keypoints_column(),
            *camera_columns(),
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
                f"{GROUPS_TEXT}: may the limb supervise a model; false throughout where the body is not valid",
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
            *(pixel_columns() if by_pixels else ()),
            *(group_columns() if in_groups else lens_columns() if has_lens else ()),
            *((label_source_column(),) if has_truth else ()),
            *((mask_column(),) if has_mask else ()),
        ]
    )


def with_widths(schema: pa.Schema, found: pa.Schema) -> pa.Schema:
    """A schema with the numbers of coefficients that another one, of a file, states."""

    def stated(field: pa.Field) -> pa.Field:
        is_told = field.name in (*COEFFICIENTS, "lens_coefficients") and field.name in found.names
        other = found.field(field.name) if is_told else field
        return field if fixed_length(other) == fixed_length(field) else other

    return pa.schema([stated(field) for field in schema])


LABEL_SCHEMA = label_schema()
