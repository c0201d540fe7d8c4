"""One correction of a keypoint of a person, and the columns of its file.

    corrections/<data set>/<start of the sitting, UTC>-<8 hex digits>.parquet

The newest of a keypoint counts. A correction is about a person in a photo: it states the person's box and the photo's
bytes, so that it is not obeyed where either is another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import pyarrow as pa

from datasets_manifest.schema.person_columns import NUM_KEYPOINTS
from datasets_manifest.sittings import Form, Sitting

SCHEMA_VERSION = 1
"""Of files of corrections."""

State = Literal["moved", "unusable", "none"]
"""`unusable`: nobody can say where the keypoint is; `none` takes an earlier correction back."""
STATES: tuple[State, ...] = get_args(State)

CORRECTION_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("keypoint", pa.int16(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("x_px", pa.float32()),
        pa.field("y_px", pa.float32()),
        pa.field("was_x_px", pa.float32()),
        pa.field("was_y_px", pa.float32()),
        pa.field("was_score", pa.float32()),
        pa.field("bbox_xyxy", pa.list_(pa.float32(), 4), nullable=False),
        pa.field("photo_sha256", pa.string(), nullable=False),
        pa.field("corrected_by", pa.string(), nullable=False),
        pa.field("corrected_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("note", pa.string()),
    ]
)
CORRECTION_FORM = Form(
    folder="corrections",
    noun="corrections",
    key=b"pear_correction",
    version=SCHEMA_VERSION,
    schema=CORRECTION_SCHEMA,
    time="corrected_utc",
    about=("sample_id", "keypoint"),
    words={"keypoint": range(NUM_KEYPOINTS), "state": STATES},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What a person says of one keypoint of a person; pixels of the whole upright photo, from its corner."""

    sample_id: str
    """Of the person."""
    keypoint: int
    """0 to 132, COCO-WholeBody order."""
    state: State
    """What became of it."""
    x_px: float | None = None
    """Where a moved one is."""
    y_px: float | None = None
    """Likewise."""
    was_x_px: float | None = None
    """Where it was; None where it was not seen."""
    was_y_px: float | None = None
    """Likewise."""
    was_score: float | None = None
    """How sure its source was."""
    bbox_xyxy: tuple[float, float, float, float]
    """The person's box when this was said."""
    photo_sha256: str
    """Of the photo's bytes, as its source gives them."""
    corrected_by: str
    """Who says so."""
    corrected_utc: datetime
    """When; the newest counts."""
    note: str | None = None
    """Why, in the corrector's words."""

    def __post_init__(self) -> None:
        if not 0 <= self.keypoint < NUM_KEYPOINTS:
            raise ValueError(f"{self.sample_id}: a keypoint is 0 to {NUM_KEYPOINTS - 1}, not {self.keypoint}")
        if self.state not in STATES:
            raise ValueError(f"{self.sample_id}: a correction is {', '.join(STATES)}, not {self.state!r}")
        place = [value for value in (self.x_px, self.y_px) if value is not None and math.isfinite(value)]
        if len(place) != 2 * (self.state == "moved"):
            raise ValueError(
                f"{self.sample_id}: a moved keypoint needs a finite place in the photo and no other has one; "
                f"{self.keypoint} is {self.state} with {self.x_px}, {self.y_px}"
            )
        if self.corrected_utc.utcoffset() is None:
            raise ValueError(f"{self.sample_id}: the time of a correction needs its time zone")


class CorrectionSitting(Sitting[Correction]):
    """The corrections of one person in one data set, from the first to the last of a sitting."""
