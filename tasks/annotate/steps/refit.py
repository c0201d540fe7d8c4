"""One person fitted again with corrections that are tried: what the refinement would make of them, and nothing kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from datasets_manifest.corrections.kept import Corrections
from datasets_manifest.corrections.schema import Correction
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import Status
from tasks.annotate.steps.corrected import obey
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.refine import lone_labels, part_rows


def found_keypoints(job: ShardJob, sample_id: str) -> Columns:
    """The keypoints of a person as they were found: one row.

    Raises:
        ValueError: The shard has no such person, or nobody was found there.
        FileNotFoundError, ShardError: As ``ShardJob.columns``.
    """
    people = job.columns("keypoints")
    rows = np.flatnonzero(people["sample_id"] == sample_id)
    if not len(rows):
        raise ValueError(f"{sample_id} is not among the people of {job.shard.name}")
    if people["status"][rows[0]] == Status.FAILED:
        raise ValueError(f"{sample_id} was not found in the photo, so there is no keypoint to correct")
    return people.take(rows)


def refit(job: ShardJob, sample_id: str, tried: Iterable[Correction]) -> pa.Table:
    """The label of one person, one row, with corrections that are tried besides those that are kept.

    The step and the settings are those of a run. Alone are all the same people who are held together with other frames
    and views, or refined by pixels, in a run.

    Args:
        job: The shard, with what is kept as it is now.
        sample_id: Of the person.
        tried: Corrections of that person, later than all others; `none` leaves out one that is kept.

    Raises:
        ValueError: As ``found_keypoints``.
        FileNotFoundError, ShardError: As ``ShardJob.columns``.
        RuntimeError: The photo cannot be read any more.
    """
    found_keypoints(job, sample_id)
    people = job.columns("keypoints")
    kept = Corrections.of(job.corrections.of_sample.get(sample_id, ()))
    people, _ = obey(people, kept.and_also(tried), job.photos().source)
    row = np.flatnonzero(people["sample_id"] == sample_id)
    parts = {name: rows.take(row) for name, rows in part_rows(job).items()} | {"keypoints": people.take(row)}
    return lone_labels(job, parts, by_pixels=False)
