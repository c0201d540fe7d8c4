"""Columns that several schemas have: whose row it is, what became of it, box, keypoints, camera, parameters."""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import BODY_GROUP_NAMES, DEFAULT_SIZE, EHM_FIELDS, BodySize
from datasets_manifest.schema.fields import CATEGORY, FLOATS, column

NUM_KEYPOINTS = 133
"""COCO-WholeBody points: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand."""
GROUPS_TEXT = ", ".join(name.replace("_", " ") for name in BODY_GROUP_NAMES)
"""Limbs in the order of their flags, for sentences."""

KEY_COLUMNS = ("sample_id", "dataset", "split", "image", "image_width", "image_height", "person")
"""Whom a row is about; the first columns of every shard."""

PX = "px"
IMAGE = "image: x right, y down, after EXIF orientation"


def key_columns() -> list[pa.Field]:
    """Whom a row is about."""
    return [
        column("sample_id", pa.string(), "<dataset>/<split>/<image id>#<person>, unique in a data set", required=True),
        column("dataset", pa.string(), "id of the manifest", required=True),
        column("split", pa.string(), "train, val, test or all, as the manifest says", required=True),
        column("image", pa.string(), "path relative to the data set's root", required=True),
        column("image_width", pa.int32(), "width after EXIF orientation; null when not known", unit=PX),
        column("image_height", pa.int32(), "height after EXIF orientation; null when not known", unit=PX),
        column("person", pa.int16(), "index within the image; 0 when the image itself failed", required=True),
    ]


def state_columns() -> list[pa.Field]:
    """What became of a row."""
    return [
        column("status", CATEGORY, "ok, partial or failed", required=True),
        column("error_code", CATEGORY, "reason from a closed set; null when ok"),
        column("error_detail", pa.string(), "what was expected and what came, for this sample; null when ok"),
    ]


def box_columns() -> list[pa.Field]:
    """The box of a person, and who says it."""
    return [
        column("bbox_xyxy", FLOATS, "person box: left, top, right, bottom", unit=PX, frame=IMAGE, shape=(4,)),
        column("bbox_source", CATEGORY, "where the box comes from: manifest, detector or keypoints"),
    ]


def keypoints_column() -> pa.Field:
    """The 133 keypoints."""
    text = "COCO-WholeBody order: x, y and a calibrated score 0..1 (0 = not seen)"
    return column("keypoints_2d", FLOATS, text, unit="px, px, 1", frame=IMAGE, shape=(NUM_KEYPOINTS, 3))


def camera_columns() -> list[pa.Field]:
    """The camera of the photo."""
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
