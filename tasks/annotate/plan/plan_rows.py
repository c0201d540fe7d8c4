"""The plan of a shard: a row for every annotated person, and hashes of what decides what is made of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, repeat
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord, MaskReader, PersonRecord
from datasets_manifest.manifest import Manifest
from datasets_manifest.schema.columns import Values, table_from_columns
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.fields import FLAGS
from datasets_manifest.schema.group_columns import MOST_LENS_COEFFICIENTS, NUM_LENS_COEFFICIENTS, place_columns
from datasets_manifest.schema.labels import BoxSource, Status, make_sample_ids
from datasets_manifest.schema.part_files import PERSON_UNKNOWN, plan_schema
from datasets_manifest.schema.table_hash import table_hashes
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.schema.truth_3d import pack_truth_3d
from datasets_manifest.shards.footer import Footer
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from tasks.annotate.workspace import ShardRef
from tasks.version import code_version

log = logging.getLogger(__name__)

_schema = cache(plan_schema)
_UNKNOWN = PersonRecord(index=PERSON_UNKNOWN)
"""Stands for whoever is in a photo."""
_LATER_COLUMNS = [
    *("focal_px", "principal_px", "lens_model", "lens_coefficients", "focal_xy_px", "time_s", "world_to_camera", "mask")
]


def plan_footer(
    shard: ShardRef, table: pa.Table, records: Sequence[ImageRecord], manifest: Manifest, images: ImageSource
) -> Footer:
    """The footer of a shard's plan: of what data set, and a hash of its rows and of the photos' files; where there are
    groups another, of what the steps before the refinement depend on."""
    return plan_footers([shard], table, [table.num_rows], [records], manifest, images)[0]


def plan_footers(
    shards: Sequence[ShardRef],
    table: pa.Table,
    counts: Sequence[int],
    records: Sequence[Sequence[ImageRecord]],
    manifest: Manifest,
    images: ImageSource,
) -> list[Footer]:
    """The same of shards whose rows follow each other in one table.

    Args:
        shards: Which.
        table: Their rows.
        counts: Rows of each.
        records: Photos of each.
        manifest: Of their data set.
        images: Its photos.
    """
    photos = _photo_bytes(records, images)
    hashes = {"inputs_hash": table_hashes(table, counts, photos)}
    if "mask" in table.column_names:  # Masks are for the refinement alone.
        hashes["unmasked_hash"] = table_hashes(table.drop_columns("mask"), counts, photos)
    if "group" in table.column_names:
        # Where cameras stand, and people in 3D, are for the refinement alone.
        later = [name for name in table.column_names if name in _LATER_COLUMNS or name.startswith("truth_3d")]
        hashes["parts_hash"] = table_hashes(table.drop_columns(later), counts, photos)
    config, stated = {"step": "plan", "manifest": manifest.hash}, manifest.footer
    common = Footer(config=config, code_version=code_version(), manifest=stated, shard="")
    footers = []
    for k, shard in enumerate(shards):
        own = {name: of_each[k] for name, of_each in hashes.items()}
        footers.append(replace(common, manifest={**stated, **own}, shard=f"{shard.index:05d}"))
        vars(footers[-1])["config_hash"] = common.config_hash  # Of one config, whose hash is made once.
    return footers


def _photo_bytes(records: Sequence[Sequence[ImageRecord]], images: ImageSource) -> list[list[bytes]]:
    """What hashes say of the photos of each shard: their paths, and the state of their files."""
    files = chain.from_iterable(_file_state(record, images) for own in records for record in own)
    states = np.split(np.fromiter(files, np.int64), 2 * np.cumsum([len(own) for own in records[:-1]], dtype=np.int64))
    return [
        [*[record.path.encode() for record in own], state.tobytes()] for own, state in zip(records, states, strict=True)
    ]


def plan_table(records: Sequence[ImageRecord], manifest: Manifest) -> pa.Table:
    """A row for every annotated person of some photos, or one a photo whose people are still to be found."""
    is_unknown = manifest.boxes == "detector"
    photos = records if is_unknown else [record for record in records for _ in record.people]
    people = [_UNKNOWN] if is_unknown else [person for record in records for person in record.people]
    numbers = repeat(0, len(photos)) if is_unknown else (person.index for person in people)
    sample_ids = make_sample_ids(manifest.id, manifest.split, [photo.image_id for photo in photos], numbers)
    columns: dict[str, Values] = {
        "sample_id": sample_ids,
        "dataset": pa.repeat(manifest.id, len(photos)),
        "split": pa.repeat(manifest.split, len(photos)),
        "image": [photo.path for photo in photos],
        "image_width": [photo.width for photo in photos],
        "image_height": [photo.height for photo in photos],
        "focal_px": [photo.focal_px for photo in photos],
        "principal_px": [photo.principal_px for photo in photos],
    }
    places, lenses = [photo.place for photo in photos], [photo.lens for photo in photos]
    in_groups, has_lenses = any(places), any(lenses)
    has_most = has_lenses and any(lens and len(lens.coefficients) > NUM_LENS_COEFFICIENTS for lens in lenses)
    num_coefficients = MOST_LENS_COEFFICIENTS if has_most else NUM_LENS_COEFFICIENTS
    if in_groups:
        columns |= {
            field.name: [None if place is None else getattr(place, field.name) for place in places]
            for field in place_columns()
        }
    if in_groups or has_lenses:
        columns["lens_model"] = [lens and lens.model for lens in lenses]
        columns["lens_coefficients"] = [
            lens and np.pad(lens.coefficients, (0, num_coefficients - len(lens.coefficients))) for lens in lenses
        ]
        columns["focal_xy_px"] = [lens and lens.focal_xy_px for lens in lenses]
    of_people = _columns_of_people(people, sample_ids, manifest, in_groups=in_groups)
    if is_unknown:  # Every row says the same of whoever is there, and most of it is nothing.
        of_people = {
            name: pa.repeat(column[0], len(photos)) for name, column in of_people.items() if column[0] is not None
        }
    columns |= of_people
    schema = _schema(in_groups=in_groups, optional=frozenset(columns), num_coefficients=num_coefficients)
    return table_from_columns(columns, schema)


def _columns_of_people(
    people: Sequence[PersonRecord], sample_ids: Sequence[str], manifest: Manifest, *, in_groups: bool
) -> dict[str, pa.Array | Sequence[Any]]:
    """What is said of people; of the columns that only some data sets fill those that have a value."""
    ok, failed = Status.OK.value, Status.FAILED.value  # Texts: to hash a member of an enumeration takes longer.
    columns: dict[str, pa.Array | Sequence[Any]] = {
        "person": [person.index for person in people],
        "status": [ok if person.error_code is None else failed for person in people],
        "error_code": [person.error_code for person in people],
        "error_detail": [person.error_detail for person in people],
        "bbox_xyxy": [person.bbox_xyxy for person in people],
        "bbox_source": [None if person.bbox_xyxy is None else BoxSource.MANIFEST for person in people],
        "keypoints_2d": [person.keypoints for person in people],
    }
    if in_groups:
        columns["track"] = [person.track for person in people]
    if any(person.truth for person in people):
        columns |= pack_arrays([person.truth or None for person in people], "truth")
    if any(person.other_points for person in people):
        columns |= pack_arrays([person.other_points or None for person in people], "other_points")
    if any(truth := [person.truth_3d for person in people]):
        columns |= pack_truth_3d(truth)
    if any(person.mask for person in people):
        columns["mask"] = [
            _mask_value(person.mask, sample_id) for person, sample_id in zip(people, sample_ids, strict=True)
        ]
    trusted = {parts: parts.intersection(manifest.trusted) for parts in {person.trusted for person in people}}
    if any(len(parts) < len(TRUSTED_PARTS) for parts in trusted.values()):
        stated = {own: [part in parts for part in TRUSTED_PARTS] for own, parts in trusted.items()}
        columns["trusted"] = pa.array([stated[person.trusted] for person in people], FLAGS)
    return columns


def _mask_value(read: MaskReader | None, sample_id: str) -> dict[str, Any] | None:
    """What the plan says of a mask; nothing of one that cannot be read, which is logged."""
    try:
        return None if read is None else read().value
    except ValueError as error:
        log.warning("%s: its mask is left out: %s", sample_id, error)
        return None


def _file_state(record: ImageRecord, images: ImageSource) -> tuple[int, int]:
    """Size and time of a photo's file, which a replaced photo has others of; -1 where there is none."""
    try:
        return images.state(record.path)
    except ImageError:
        return -1, -1
