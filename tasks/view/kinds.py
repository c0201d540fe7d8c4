"""What can be looked at, and which scalar columns of it are indexed, as what."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.labels import LABEL_SCHEMA, label_schema
from datasets_manifest.schema.people_errors import ERROR_COLUMNS, PEOPLE_ERRORS
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema, rotations_schema
from datasets_manifest.shards.shard import Shard

MISSED = "missed"
"""Status, where errors are looked at, of a known person who has no label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Columns of a kind of files; the others of a row are read out of its shard when it is looked at."""

    name: str
    """`labels`, `predictions`, `errors`."""
    base: pa.Schema
    """Columns that every file has."""
    schema: pa.Schema
    """Those and all that some files have."""
    words: tuple[str, ...]
    """Columns of text with few values, to choose among."""
    flags: tuple[str, ...]
    """Columns of yes and no."""
    numbers: tuple[str, ...]
    """Columns with a smallest and a largest value."""
    state: str = "status"
    """The column of words that says what became of somebody."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All that are indexed."""
        return ("sample_id", *self.words, *self.flags, *self.numbers)

    def whole_row(self, shard: Shard, number: int) -> pa.Table:
        """A row of a file with all columns that it has."""
        known = {*self.base.names, *shard.schema.names}
        return shard.rows(self.schema, number, number + 1, [name for name in self.schema.names if name in known])


LABELS = Kind(
    name="labels",
    base=LABEL_SCHEMA,
    schema=label_schema(by_pixels=True, in_groups=True, has_truth=True, has_mask=True),
    words=("dataset", "split", "status", "error_code"),
    flags=tuple(f"{part}_valid" for part in PART_NAMES),
    numbers=(
        *(f"{part}_quality" for part in PART_NAMES),
        *("reproj_rel", *(f"reproj_{part}_px" for part in PART_NAMES), "inlier_ratio"),
    ),
)
PREDICTIONS = Kind(
    name="predictions",
    base=prediction_schema(),
    schema=prediction_schema(),
    words=("status", "error_code", "bbox_source"),
    flags=SEEN_COLUMNS,
    numbers=("detection_score", "frame", "time_s", "track"),
)
ROTATIONS = Kind(
    name="predictions of rotations",
    base=rotations_schema(),
    schema=rotations_schema(),
    words=PREDICTIONS.words,
    flags=(),
    numbers=PREDICTIONS.numbers,
)
ERRORS = Kind(
    name="errors",
    base=PEOPLE_ERRORS,
    schema=PEOPLE_ERRORS,
    words=("dataset", "split", "found", "error_code"),
    flags=(*(f"{part}_wrong" for part in PART_NAMES), *LABELS.flags),
    numbers=(*ERROR_COLUMNS, *(f"{part}_worst_rel" for part in PART_NAMES)),
    state="found",
)
KINDS = (LABELS, PREDICTIONS, ROTATIONS, ERRORS)


def kind_of(shard: Shard) -> Kind:
    """What a file holds.

    Raises:
        ValueError: Neither labels nor predictions.
    """
    names = set(shard.schema.names)
    marks = {"found": ERRORS, "joints_m": PREDICTIONS, "local_rotations": ROTATIONS, "body_group_valid": LABELS}
    for column, kind in marks.items():
        if {"sample_id", column} <= names:
            return kind
    raise ValueError(f"{shard.path} holds neither labels nor predictions; name the folder of one of them")
