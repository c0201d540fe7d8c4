"""One verdict of a person on a part of a label, and the columns of its file.

    reviews/<data set>/<start of the session, UTC>-<8 hex digits>.parquet

A file belongs to one session of one reviewer, so two reviewers never write one file. Verdicts are only ever added; of
those that stand (``standing``), the newest on a part counts, whoever gave it. The files lie beside labels/, never
below: every Parquet file there is labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from datasets_manifest.sittings import Form

SCHEMA_VERSION = 1
"""Of files of verdicts."""

Judgement = Literal["accept", "reject", "flag", "none"]
"""`flag`: somebody else should look; `none` takes back the last verdict of the same reviewer (``standing``)."""
JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)

REVIEW_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("note", pa.string()),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("reviewed_utc", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("label_config_hash", pa.string(), nullable=False),
        pa.field("label_digest", pa.string(), nullable=False),
        pa.field("audit", pa.string()),
    ]
)
REVIEW_FORM = Form(
    folder="reviews",
    noun="verdicts",
    key=b"pear_review",
    version=SCHEMA_VERSION,
    schema=REVIEW_SCHEMA,
    time="reviewed_utc",
    about=("sample_id", "part"),
    words={"part": PART_NAMES, "verdict": JUDGEMENTS},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A verdict on a part of a label."""

    sample_id: str
    """Of the person."""
    part: Part
    """Of the person."""
    verdict: Judgement
    """What was judged."""
    reviewer: str
    """Who judged."""
    reviewed_utc: datetime
    """When; the newest verdict that stands counts."""
    label_config_hash: str
    """Settings that the label was made with, as the footer of its shard states them."""
    label_digest: str
    """The label itself (``digest.label_digests``): a verdict on parameters that have changed since is stale."""
    note: str | None = None
    """Why, in the reviewer's words."""
    audit: str | None = None
    """The audit whose sample this verdict belongs to."""

    def __post_init__(self) -> None:
        if self.part not in PART_NAMES:
            raise ValueError(f"{self.sample_id}: a part is {', '.join(PART_NAMES)}, not {self.part!r}")
        if self.verdict not in JUDGEMENTS:
            raise ValueError(f"{self.sample_id}: a verdict is {', '.join(JUDGEMENTS)}, not {self.verdict!r}")
        if self.reviewed_utc.utcoffset() is None:
            raise ValueError(f"{self.sample_id}: the time of a verdict needs its time zone")
