"""Last step of a shard: the four parts become one EHM-s body that agrees with the keypoints, one label row a person."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, joined
from datasets_manifest.schema.group_columns import lens_columns
from datasets_manifest.schema.labels import Status, label_schema
from fitting.refine import refine
from tasks.annotate.groups.places import photo_rows
from tasks.annotate.steps.given import camera_of, coarse_of, observations_of, through_pinholes
from tasks.annotate.steps.grouped import grouped_labels
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.known_parts import own_body, with_known_parts
from tasks.annotate.steps.labels import failed_rows, label_table
from tasks.annotate.steps.masks import has_masks, with_masks
from tasks.annotate.steps.pixels import refine_by_pixels
from tasks.annotate.steps.truth import KnownPeople, knows_people, with_label_source
from tasks.body_model import sparse_body

_PARTS = ("keypoints", "body", "hands", "face")


def refine_labels(job: ShardJob) -> pa.Table:
    """Makes the labels of one shard; all four part files must be there.

    Raises:
        ValueError: Part files of different people, or frames of a group that were not taken one after the other.
    """
    parts = part_rows(job) | {"keypoints": job.corrected_keypoints}
    plan, by_pixels = job.columns("plan"), job.config.pixels.renderer is not None
    if not job.in_groups:
        return lone_labels(job, parts, by_pixels=by_pixels)
    has_truth, has_mask = knows_people(plan), has_masks(plan)
    schema = label_schema(job.size, by_pixels=by_pixels, in_groups=True, has_truth=has_truth, has_mask=has_mask)
    return grouped_labels(job, parts, schema)


def lone_labels(job: ShardJob, parts: dict[str, Columns], *, by_pixels: bool) -> pa.Table:
    """Labels of people who are fitted each alone.

    Args:
        job: Their shard.
        parts: Their rows of the part files; of pixels, those of the whole shard.
        by_pixels: Whether pixels refine them too.
    """
    plan = job.columns("plan")
    has_truth, has_mask = knows_people(plan), has_masks(plan)
    photos = plan.take(photo_rows(plan, parts["keypoints"]["sample_id"]))
    has_lens = bool(photos.has("lens_model").any())
    schema = label_schema(job.size, by_pixels=by_pixels, has_lens=has_lens, has_truth=has_truth, has_mask=has_mask)
    is_failed = parts["keypoints"]["status"] == Status.FAILED
    chosen = np.flatnonzero(~is_failed)
    tables = [failed_rows(parts["keypoints"].take(is_failed), schema)]
    if len(chosen):
        picked = {name: rows.take(chosen) for name, rows in parts.items()}
        observations = through_pinholes(observations_of(picked["keypoints"]), photos.take(chosen))
        if has_truth:
            known = KnownPeople.of(plan, picked["keypoints"]["sample_id"], None, own_body(job.config))
            picked = with_known_parts(job, picked, known)
            observations = known.beside(observations)
        given = observations, coarse_of(picked), camera_of(picked["keypoints"])
        outcome = None
        if by_pixels:
            result, outcome = refine_by_pixels(job, *given)
        else:
            body = sparse_body(job.config.body_model, job.size, job.config.coefficients.refined)
            result = refine(body, *given, job.config.refine)
        tables.append(label_table(picked, result, schema, outcome))
    table = joined(tables, schema, [np.flatnonzero(is_failed), chosen][: len(tables)])
    for field in lens_columns() if has_lens else ():
        own = photos.table.schema.field(field.name)
        table = table.set_column(table.schema.get_field_index(field.name), own, photos.table[field.name])
    table = with_masks(table, plan) if has_mask else table
    return with_label_source(table, plan, None, own_body(job.config)) if has_truth else table


def part_rows(job: ShardJob) -> dict[str, Columns]:
    """Rows of all people of a shard by part, as they were found."""
    return {name: _part(name, job) for name in _PARTS}


def _part(step: str, job: ShardJob) -> Columns:
    """Rows of a part, checked to be those of the keypoints."""
    rows, people = job.columns(step), job.columns("keypoints")
    if not np.array_equal(rows["sample_id"], people["sample_id"]):
        raise ValueError(
            f"{step}/{job.shard.name} has other people than keypoints/{job.shard.name}; do the shard again"
        )
    return rows
