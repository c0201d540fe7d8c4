"""Errors of labels person by person, where a data set knows its people: who was missed, who is nobody, what is off."""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import ONE, PART_NAMES
from datasets_manifest.schema.fields import column
from datasets_manifest.schema.labels import LABEL_SCHEMA

FOUND = ("matched", "missed", "false", "no label")
"""A label of a known person; a known person without one; a label of nobody who is known; a row that claims nothing."""
ERROR_COLUMNS = {
    "pa_mpjpe_mm": "main joints, rotated, scaled and moved onto the known ones",
    "left_hand_pa_mm": "joints of the left hand likewise",
    "right_hand_pa_mm": "joints of the right hand likewise",
    "head_pa_mm": "head without expression, likewise",
}

PEOPLE_ERRORS = pa.schema(
    [
        column("sample_id", pa.string(), "of the label, or <dataset>/<split>/<image id>#missed-<index>"),
        *(LABEL_SCHEMA.field(name) for name in ("dataset", "split", "image")),
        column("found", pa.string(), ", ".join(FOUND), required=True),
        *(LABEL_SCHEMA.field(name) for name in ("error_code", "error_detail", "bbox_xyxy")),
        column(
            "known_keypoints",
            pa.list_(pa.float32()),
            "x, y, score of the annotated keypoints of who was missed; score 0: not annotated",
            unit="px",
            shape=(133, 3),
        ),
        *(LABEL_SCHEMA.field(f"{part}_valid").with_nullable(True) for part in PART_NAMES),
        *(
            column(f"{part}_wrong", pa.bool_(), "is an annotated keypoint further off than 0.07 of the box")
            for part in PART_NAMES
        ),
        *(column(name, pa.float32(), text, unit="mm") for name, text in ERROR_COLUMNS.items()),
        *(
            column(
                f"{part}_worst_rel", pa.float32(), "largest distance from an annotated keypoint, over the box", unit=ONE
            )
            for part in PART_NAMES
        ),
    ]
)  # fmt: skip
