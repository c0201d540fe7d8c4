"""Body, hands and face of a shard: what the three part steps have in common.

Each reads the shard's keypoints, hands the people it can work on to its estimator, as many photos at once as memory is
given for, and writes one row for every row it read: a person that failed before keeps its reason, a part that was not
found says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.evidence import unpack_arrays
from datasets_manifest.schema.labels import KEY_COLUMNS, Refusal, Status
from datasets_manifest.sources.decoded import MIB, in_chunks
from datasets_manifest.sources.images import ImageError
from model.estimators.base import PersonBatch
from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from tasks.annotate.photos import PhotoReader
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.trust import untrusted, untrusted_rows
from tasks.estimators import borrowed, computing

STATE_COLUMNS = ("status", "error_code", "error_detail")


def annotate_part(
    step: str,
    job: ShardJob,
    schema: pa.Schema,
    columns_of: Callable[[Any], Mapping[str, Values]],
    flags: Sequence[str],
) -> pa.Table:
    """Runs one part estimator over one shard, whose keypoints must be there.

    Args:
        step: ``body``, ``hands`` or ``face``.
        job: Which shard.
        schema: Of the part's file.
        columns_of: Turns the estimator's output into the part's own columns, a row a person.
        flags: Columns that are false for a person that has no keypoints, or whose part the data set is not trusted for,
            so that nobody looks at it; the others are null.

    Returns:
        A row for every row of the keypoints.
    """
    people = job.columns("keypoints")
    tables: list[pa.Table] = []
    places: list[np.ndarray] = []
    is_failed, is_untrusted = people["status"] == Status.FAILED, untrusted_rows(people, step)
    with borrowed(step, getattr(job.config, step)) as estimator:
        for batch, rows in person_batches(job, ~is_untrusted):
            key = people.take(rows).table.select(KEY_COLUMNS)
            with computing(step, getattr(job.config, step)):
                output = estimator.estimate(batch)
            own = columns_of(output)
            tables.append(table_from_columns({name: key[name] for name in KEY_COLUMNS} | dict(own), schema))
            places.append(rows)
    state = {name: people.table[name].to_pylist() for name in STATE_COLUMNS}
    for row in np.flatnonzero(is_untrusted & ~is_failed):
        refused = untrusted(step)
        for name, value in zip(STATE_COLUMNS, (Status.FAILED, refused.code, refused.detail), strict=True):
            state[name][row] = value
    unseen = np.flatnonzero(is_failed | is_untrusted)
    columns: dict[str, Values] = {name: people.take(unseen).table[name] for name in KEY_COLUMNS}
    columns |= {name: [values[row] for row in unseen] for name, values in state.items()}
    columns |= {name: np.zeros(len(unseen), bool) for name in flags}
    return joined([*tables, table_from_columns(columns, schema)], schema, [*places, unseen])


def part_states(reasons: Sequence[Mapping[str, Refusal | None]]) -> dict[str, list[Any]]:
    """Status columns of people whose part (or parts, for the hands) an estimator looked at.

    Args:
        reasons: For each person, why each part by its name is not valid, None for a valid one.
    """
    columns: dict[str, list[Any]] = {name: [] for name in STATE_COLUMNS}
    for own in reasons:
        refused = {part: reason for part, reason in own.items() if reason is not None}
        status = Status.OK if not refused else Status.FAILED if len(refused) == len(own) else Status.PARTIAL
        columns["status"].append(status)
        columns["error_code"].append(next(iter(refused.values())).code if refused else None)
        details = [reason.detail for reason in refused.values()]
        columns["error_detail"].append(parts_detail(refused) if len(own) > 1 else next(iter(details), None))
    return columns


def parts_detail(refused: Mapping[str, Refusal]) -> str:
    """One text of why several parts of a person are not valid."""
    return "; ".join(f"{part}: {reason.detail}" for part, reason in refused.items())


def of_width(coefficients: np.ndarray, width: int) -> np.ndarray:
    """Coefficients (P, any) of an estimator as (P, width): the leading ones, missing ones zero."""
    known = np.asarray(coefficients)[:, :width]
    return np.pad(known, ((0, 0), (0, width - known.shape[1])))


def to_rotvec(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3), radians."""
    return rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotations, np.float32))).numpy()


def to_rotmat(rotvecs_rad: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3)."""
    return rotvec_to_rotmat(torch.from_numpy(np.ascontiguousarray(rotvecs_rad, np.float32))).numpy()


def person_batches(job: ShardJob, wanted: np.ndarray | None = None) -> Iterator[tuple[PersonBatch, np.ndarray]]:
    """Puts the people of a shard that have keypoints into batches whose photos memory is given for.

    Args:
        job: Which shard.
        wanted: (N,) which rows of the keypoints file; None: all.

    Yields:
        A batch and the numbers (P,) of its people's rows in the keypoints file.
    """
    people = job.columns("keypoints")
    kept = np.flatnonzero((people["status"] != Status.FAILED) & (True if wanted is None else wanted))
    chosen = people.take(kept)
    evidence = unpack_arrays(chosen.table, "evidence")
    truth = _truth(job.columns("plan"), chosen["sample_id"]) if len(kept) else None
    reader = job.photos()
    decoded = ((at, _photo(chosen, at, reader)) for at in range(len(kept)))
    for chunk in in_chunks(decoded, lambda item: item[1], job.config.run.photo_chunk_mb * MIB):
        rows = slice(chunk[0][0], chunk[-1][0] + 1)
        yield _batch(chosen, rows, [photo for _, photo in chunk], evidence, truth), kept[rows]


def _photo(people: Columns, row: int, reader: PhotoReader) -> np.ndarray:
    try:
        return reader.read(people["image"][row])
    except ImageError as error:
        # The keypoint step decoded this very file: that it changed under the run is no sample's fault.
        message = f"{people['sample_id'][row]}: {error}; the photo was readable when its keypoints were made"
        raise RuntimeError(message) from error


def _batch(
    people: Columns,
    rows: slice,
    images: list[np.ndarray],
    evidence: dict[str, np.ndarray],
    truth: dict[str, np.ndarray] | None,
) -> PersonBatch:
    def own(name: str) -> np.ndarray:
        return people[name][rows].astype(np.float32)  # a copy: what lies in Arrow's memory cannot be written to

    return PersonBatch(
        images=images,
        boxes_xyxy=own("bbox_xyxy"),
        keypoints=own("keypoints_2d"),
        sigma_px=own("sigma_px"),
        focal_px=own("focal_px"),
        principal_px=own("principal_px"),
        evidence={name: array[rows] for name, array in evidence.items()},
        truth=None if truth is None else {name: array[rows] for name, array in truth.items()},
        sample_ids=list(people["sample_id"][rows]),
    )


def _truth(plan: Columns, sample_ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """True parameters (P, ...) that a synthetic data set ships, NaN where it has none; None for real photos."""
    known = unpack_arrays(plan.table, "truth")
    if not known:
        return None
    row_of = {sample_id: row for row, sample_id in enumerate(plan["sample_id"])}
    rows = np.array([row_of.get(sample_id, -1) for sample_id in sample_ids])
    missing = rows < 0
    found = {name: array[rows] for name, array in known.items()}
    for array in found.values():
        array[missing] = np.nan
    return found
