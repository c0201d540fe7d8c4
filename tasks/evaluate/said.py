"""What a subject says of photos: rows of labels with the people whom the data set knows in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import Manifest
from datasets_manifest.schema.columns import Columns, check_values, table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, BodySize
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.person_columns import parameter_columns
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.stores import Place
from model.body.assets import EhmAssets

PHOTOS_AT_ONCE = 32
"""Photos whose people are predicted, posed and measured together."""
STATE = ("status", "error_code", "error_detail")
SAID = ("sample_id", *STATE, "bbox_xyxy", "image_width", "image_height", "focal_px", "principal_px")
"""Columns of labels that are measured, beside the parameters."""


class Said(NamedTuple):
    """What a subject says of a few photos."""

    records: list[ImageRecord]
    """The photos, with the people whom the data set knows."""
    labels: Columns
    """Rows of labels, of these photos alone: `SAID` and the parameters."""


class Subject(Protocol):
    """Something that says how people are."""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        ...

    @property
    def stated(self) -> Mapping[str, Any]:
        """What it is, for the results: enough to tell it from another of the same name."""
        ...

    def say(self, manifest: Manifest, records: Iterable[ImageRecord], images: ImageSource) -> Iterator[Said]:
        """What it says of the people of a data set; every photo once.

        Raises:
            ValueError: It says nothing of this data set, or of another body.
        """
        ...


def said_table(columns: Mapping[str, Any], size: BodySize) -> pa.Table:
    """Rows of labels of what is said of people: `SAID` and the parameters, with so many coefficients."""
    return table_from_columns(columns, _schema(size))


def _schema(size: BodySize) -> pa.Schema:
    fields = label_schema()
    return pa.schema([*(fields.field(name) for name in SAID), *parameter_columns(*LABEL_PARAMETERS, size=size)])


def nothing(size: BodySize) -> Columns:
    return Columns(_schema(size).empty_table())


def batched(records: Iterable[ImageRecord], count: int = PHOTOS_AT_ONCE) -> Iterator[list[ImageRecord]]:
    rest = iter(records)
    while batch := list(itertools.islice(rest, count)):
        yield batch


def check_body(path: Place, stated: Mapping[str, Any], assets: EhmAssets) -> None:
    if body_identity(stated) != body_identity(assets.entry):
        raise ValueError(
            f"{path} is of the body model {body_name(stated)}, this evaluation uses {body_name(assets.entry)}; give "
            "the folder of the former as body_model.path"
        )


def read_people(shard: Shard, schema: pa.Schema, names: list[str], assets: EhmAssets) -> pa.Table:
    """Rows of a file that others may have changed.

    Raises:
        ValueError: They are of another body, of another number of values, or hold one that is not finite.
    """
    check_body(shard.path, shard.footer.body_model, assets)
    table = shard.table(schema, names)
    try:
        check_values(table)
    except ValueError as error:
        raise ValueError(f"{shard.path}: {error}") from error
    return table
