"""Body, hands and face of a shard: what the three part steps have in common.

Each reads the shard's keypoints, hands the people it can work on to its estimator, as many photos at once as memory is
given for, and writes one row for every row it read: a person that failed before keeps its reason, a part that was not
found says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import table_from_rows
from datasets_manifest.schema.labels import KEYPOINTS_SCHEMA, PLAN_SCHEMA, ErrorCode, Status, unpack_arrays
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import ImageError
from model.estimators.base import PersonBatch
from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from tasks.annotate.photos import PhotoReader, in_chunks
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary, run_step
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.estimators import borrowed

Row = dict[str, Any]
KEY_COLUMNS = ("sample_id", "dataset", "split", "image", "image_width", "image_height", "person")


def annotate_part(
    step: str,
    shard: ShardRef,
    workspace: Workspace,
    config: AnnotateConfig,
    schema: pa.Schema,
    rows_of: Callable[[Any], list[Row]],
    empty: Row,
) -> ShardSummary:
    """Runs one part estimator over one shard.

    Args:
        step: ``body``, ``hands`` or ``face``.
        shard: Which shard; its keypoints must be there.
        workspace: Where files are.
        config: All settings.
        schema: Of the part's file.
        rows_of: Turns the estimator's output into the part's own columns, a row a person.
        empty: The part's own columns for a person that has no keypoints.
    """

    def compute() -> pa.Table:
        people = read_shard(workspace.step_path("keypoints", shard), KEYPOINTS_SCHEMA).to_pylist()
        by_index: dict[int, Row] = {}
        with borrowed(step, getattr(config, step)) as estimator:
            for batch, batched in person_batches(people, shard, workspace):
                by_index |= dict(zip(batched, rows_of(estimator.estimate(batch)), strict=True))
        return table_from_rows([_row(person, by_index.get(i, empty)) for i, person in enumerate(people)], schema)

    return run_step(step, shard, workspace, lambda: step_footer(step, config, shard, workspace), compute)


def _row(person: Row, own: Row) -> Row:
    names = ("status", "error_code", "error_detail")
    state = {name: person[name] for name in names}
    return {name: person[name] for name in KEY_COLUMNS} | state | own


def part_state(*reasons: str | None) -> Row:
    """Status columns of a person whose part (or parts, for the hands) an estimator looked at.

    Args:
        reasons: An error code for each part that is not valid, None for a valid one.
    """
    refused = [ErrorCode(reason) for reason in reasons if reason is not None]
    if not refused:
        return {"status": Status.OK, "error_code": None, "error_detail": None}
    status = Status.FAILED if len(refused) == len(reasons) else Status.PARTIAL
    return {"status": status, "error_code": refused[0], "error_detail": refused[0].sentence}


def to_rotvec(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to axis-angle (..., 3), radians."""
    return rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotations, np.float32))).numpy()


def to_rotmat(rotvecs_rad: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3)."""
    return rotvec_to_rotmat(torch.from_numpy(np.ascontiguousarray(rotvecs_rad, np.float32))).numpy()


def person_batches(people: list[Row], shard: ShardRef, workspace: Workspace) -> Iterator[tuple[PersonBatch, list[int]]]:
    """Puts the people that have keypoints into batches whose photos memory is given for.

    Args:
        people: Rows of the keypoints file.
        shard: Their shard.
        workspace: Where files are.

    Yields:
        A batch and, for each person in it, the index of the row.
    """
    kept = [index for index, person in enumerate(people) if person["status"] != Status.FAILED]
    rows = [people[index] for index in kept]
    evidence = _stacked([unpack_arrays(row) for row in rows])
    truth = _truth(rows, shard, workspace) if rows else None
    reader = PhotoReader.of_shard(shard, workspace)
    decoded = ((at, _photo(row, reader)) for at, row in enumerate(rows))
    for chunk in in_chunks(decoded, lambda item: item[1]):
        first, last = chunk[0][0], chunk[-1][0] + 1
        batch = _batch(
            rows[first:last],
            [photo for _, photo in chunk],
            {name: array[first:last] for name, array in evidence.items()},
            None if truth is None else {name: array[first:last] for name, array in truth.items()},
        )
        yield batch, kept[first:last]


def _photo(person: Row, reader: PhotoReader) -> np.ndarray:
    try:
        return reader.read(person["image"])
    except ImageError as error:
        # The keypoint step decoded this very file: that it changed under the run is no sample's fault.
        message = f"{person['sample_id']}: {error}; the photo was readable when its keypoints were made"
        raise RuntimeError(message) from error


def _batch(
    rows: list[Row],
    images: list[np.ndarray],
    evidence: dict[str, np.ndarray],
    truth: dict[str, np.ndarray] | None,
) -> PersonBatch:
    def stack(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.array([np.reshape(row[name], shape) for row in rows], np.float32).reshape(len(rows), *shape)

    return PersonBatch(
        images=images,
        boxes_xyxy=stack("bbox_xyxy", (4,)),
        keypoints=stack("keypoints_2d", (133, 3)),
        sigma_px=stack("sigma_px", (133,)),
        focal_px=np.array([row["focal_px"] for row in rows], np.float32),
        principal_px=stack("principal_px", (2,)),
        evidence=evidence,
        truth=truth,
        sample_ids=[row["sample_id"] for row in rows],
    )


def _stacked(arrays: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Named arrays a person to named arrays with first dimension P; NaN where a person lacks one."""
    shapes = {name: array.shape for person in arrays for name, array in person.items()}
    return {
        name: np.stack([person.get(name, np.full(shape, np.nan, np.float32)) for person in arrays])
        for name, shape in shapes.items()
    }


def _truth(rows: list[Row], shard: ShardRef, workspace: Workspace) -> dict[str, np.ndarray] | None:
    """True parameters that a synthetic data set ships, first dimension P; None for real photos."""
    plan = read_shard(workspace.plan_path(shard), PLAN_SCHEMA).select(["sample_id", "evidence", "evidence_shape"])
    known = {row["sample_id"]: unpack_arrays(row) for row in plan.to_pylist() if row["evidence"]}
    return _stacked([known.get(row["sample_id"], {}) for row in rows]) if known else None
