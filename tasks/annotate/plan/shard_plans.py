"""Rows and footers of the plans of many shards: small ones that are alike are made together, to the same values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import Manifest
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.shards.footer import Footer
from datasets_manifest.sources.image_source import ImageSource
from tasks.annotate.plan.plan_rows import plan_footer, plan_footers, plan_table
from tasks.annotate.workspace import ShardRef

_PHOTOS_AT_ONCE = 2048
"""Photos of shards that are made together."""


class ShardPlan(NamedTuple):
    """What the plan of a shard is to hold."""

    shard: ShardRef
    """Which."""
    records: Sequence[ImageRecord]
    """Its photos."""
    table: pa.Table
    """Its rows."""
    footer: Footer
    """How they were made."""


def shard_plans(
    shards: Iterable[tuple[ShardRef, Sequence[ImageRecord]]], manifest: Manifest, images: ImageSource
) -> Iterator[ShardPlan]:
    """The plans of some shards of a data set, in their order; some thousand photos are held at a time.

    Args:
        shards: With their photos.
        manifest: Of the data set.
        images: Its photos.
    """
    waiting: list[tuple[ShardRef, Sequence[ImageRecord]]] = []
    known: bool | None = None
    for shard, records in shards:
        kind = _has_masks(records, manifest)
        if waiting and kind is not known:
            yield from _together(waiting, manifest, images)
            waiting = []
        known = kind
        if kind is None:
            yield _alone(shard, records, manifest, images)
            continue
        waiting.append((shard, records))
        if sum(len(own) for _, own in waiting) >= _PHOTOS_AT_ONCE:
            yield from _together(waiting, manifest, images)
            waiting = []
    if waiting:
        yield from _together(waiting, manifest, images)


def _has_masks(records: Sequence[ImageRecord], manifest: Manifest) -> bool | None:
    """Whether there are masks of people; None for photos that give columns which those of other shards may not give."""
    people = [person for record in records for person in record.people]
    is_other = any(record.place is not None or record.lens is not None for record in records) or any(
        person.other_points or person.truth_3d is not None or not person.trusted.issuperset(TRUSTED_PARTS)
        for person in people
    )
    if is_other or not set(manifest.trusted).issuperset(TRUSTED_PARTS):
        return None
    return any(person.mask is not None for person in people)


def _alone(shard: ShardRef, records: Sequence[ImageRecord], manifest: Manifest, images: ImageSource) -> ShardPlan:
    table = plan_table(records, manifest)
    return ShardPlan(shard, records, table, plan_footer(shard, table, records, manifest, images))


def _together(
    shards: Sequence[tuple[ShardRef, Sequence[ImageRecord]]], manifest: Manifest, images: ImageSource
) -> Iterator[ShardPlan]:
    photos = [own for _, own in shards]
    is_unknown = manifest.boxes == "detector"
    counts = [len(own) if is_unknown else sum(len(record.people) for record in own) for own in photos]
    try:
        table = plan_table([record for own in photos for record in own], manifest)
    except ValueError:  # Something is wrong with the rows of one of them, which is told of it alone.
        yield from (_alone(*shard, manifest, images) for shard in shards)
        return
    footers = plan_footers([shard for shard, _ in shards], table, counts, photos, manifest, images)
    first = 0
    for (shard, records), count, footer in zip(shards, counts, footers, strict=True):
        yield ShardPlan(shard, records, table.slice(first, count), footer)
        first += count
