"""The schemas of predictions: one row a person in a photo or a frame, and one for each input that gave none.

Columns that labels have too mean the same as there, units, frames and lengths included. A row without a prediction has
``status`` failed and says why; one that is ``partial`` has a prediction, but the person's box is doubtful.
"""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import CAMERA, DEFAULT_SIZE, LABEL_PARAMETERS, ONE, PARENT, RAD, BodySize, M
from datasets_manifest.schema.fields import CATEGORY, FLOATS, column
from datasets_manifest.schema.labels import NUM_KEYPOINTS, label_schema, parameter_columns
from datasets_manifest.schema.person_columns import IMAGE, PX

NUM_JOINTS = 55
"""SMPL-X joints."""
_RULE = "are half of its points in the photo and in the crop, by this prediction"
_SEEN = {
    "body_seen": f"{_RULE}: shoulders, elbows, wrists and hips; what is not seen is a guess",
    "left_hand_seen": f"{_RULE}; a hand that something hides counts as seen",
    "right_hand_seen": f"{_RULE}, likewise",
    "face_seen": f"{_RULE}, and does it look towards the camera",
}
TRACK = "track"
"""Who is who over the frames of a video."""
SEEN_COLUMNS = tuple(_SEEN)
"""Whether each part was seen, in the order of ``PART_NAMES``."""


def prediction_id(source: str, frame: int | None, person: int) -> str:
    """``<source>#<person>`` of a photo, ``<source>@<frame>#<person>`` of a video."""
    return f"{source}#{person}" if frame is None else f"{source}@{frame}#{person}"


def prediction_schema(size: BodySize = DEFAULT_SIZE) -> pa.Schema:
    """The schema of whole predictions of people of some size."""
    return pa.schema(
        [
            *_person_columns(),
            *parameter_columns(*LABEL_PARAMETERS, "head_orient", size=size),
            _global_rotations(),
            column("joints_m", FLOATS, "55 SMPL-X joints", unit=M, frame=CAMERA, shape=(NUM_JOINTS, 3)),
            column(
                "keypoints_2d",
                FLOATS,
                "COCO-WholeBody points of the body in the image",
                unit=PX,
                frame=IMAGE,
                shape=(NUM_KEYPOINTS, 2),
            ),
            *(column(name, pa.bool_(), text) for name, text in _SEEN.items()),
        ]
    )


def rotations_schema() -> pa.Schema:
    """The schema of joint rotations alone, for which no body model is needed."""
    return pa.schema(
        [
            *_person_columns(),
            column(
                "local_rotations",
                FLOATS,
                "55 SMPL-X joints, axis-angle; the pelvis relative to the camera",
                unit=RAD,
                frame=PARENT,
                shape=(NUM_JOINTS, 3),
            ),
            _global_rotations(),
            *parameter_columns("head_orient"),
        ]
    )


def _person_columns() -> list[pa.Field]:
    """Who and where: key, state, box, the crop that the network saw and both cameras."""
    labels = label_schema()
    return [
        column("sample_id", pa.string(), "<source>#<person>, of a video <source>@<frame>#<person>", required=True),
        column("source", pa.string(), "photo or video as it was named", required=True),
        column("frame", pa.int32(), "number of the frame from 0; null for photos"),
        column("time_s", pa.float64(), "when the frame is shown; null for photos", unit="s"),
        *(labels.field(name) for name in ("image_width", "image_height")),
        column("person", pa.int16(), "index in the photo or frame; 0 when that itself failed", required=True),
        column(
            TRACK,
            pa.int32(),
            "who it is in a video, a number from 0 over its frames; null for photos and where the box is unusable",
        ),
        *(labels.field(name) for name in ("status", "error_code", "error_detail", "bbox_xyxy")),
        column("bbox_source", CATEGORY, "where the box comes from: detector, keypoints, or image for the whole image"),
        column("detection_score", pa.float32(), "calibrated score of the box, 0..1; null without a detector", unit=ONE),
        column("crop_square", FLOATS, "centre x, y and side of the crop", unit=PX, frame=IMAGE, shape=(3,)),
        column(
            "crop_camera",
            FLOATS,
            "s, tx, ty of the network: 2 / s is the width of the crop at the pelvis, tx and ty its place",
            unit="1 / m, m, m",
            frame="camera of the crop",
            shape=(3,),
        ),
        *(labels.field(name) for name in ("focal_px", "principal_px")),
    ]


def _global_rotations() -> pa.Field:
    text = "55 SMPL-X joints, axis-angle, chained from the pelvis"
    return column("global_rotations", FLOATS, text, unit=RAD, frame=CAMERA, shape=(NUM_JOINTS, 3))
