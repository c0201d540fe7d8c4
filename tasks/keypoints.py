"""First step of a shard: find the people of each photo and their 133 keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.images import ImageError
from datasets_manifest.labels import (
    KEYPOINTS_SCHEMA,
    PERSON_UNKNOWN,
    PLAN_SCHEMA,
    ErrorCode,
    Status,
    image_id_of,
    make_sample_id,
    pack_arrays,
    table_from_rows,
)
from datasets_manifest.store import read_shard
from model.estimators.base import BOX_SOURCES, ImageInput, KeypointEstimator, KeypointsOutput, default_camera
from tasks.config import AnnotateConfig
from tasks.estimators import borrowed
from tasks.photos import PhotoReader
from tasks.provenance import step_footer
from tasks.step import ShardSummary, run_step
from tasks.workspace import ShardRef, Workspace

Row = dict[str, Any]


def annotate_keypoints(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Annotates the keypoints of one shard: a row a person, and one row for a photo in which nobody was found.

    Args:
        shard: Which shard; its plan file must be there.
        workspace: Where files are.
        config: All settings.
    """

    def compute() -> pa.Table:
        plan = read_shard(workspace.plan_path(shard), PLAN_SCHEMA).to_pylist()
        rows: list[Row] = []
        with borrowed("keypoints", config.keypoints) as estimator:
            reader = PhotoReader.of_shard(shard, workspace)
            for _, people in groupby(plan, key=lambda row: row["image"]):
                rows += list(_photo_rows(list(people), estimator, reader))
        return table_from_rows(rows, KEYPOINTS_SCHEMA)

    return run_step("keypoints", shard, workspace, lambda: step_footer("keypoints", config, shard, workspace), compute)


def _photo_rows(people: list[Row], estimator: KeypointEstimator, reader: PhotoReader) -> Iterator[Row]:
    """Rows of one photo: those the plan already refused, then one a person that the estimator gives."""
    refused = [row for row in people if row["status"] == Status.FAILED]
    asked = [row for row in people if row["status"] != Status.FAILED]
    yield from (_failed(row, row["error_code"], row["error_detail"]) for row in refused)
    if not asked:
        return
    try:
        rgb = reader.read(asked[0]["image"])
    except ImageError as error:
        yield from (_failed(row, error.code, error.detail) for row in asked)
        return
    image = _image_input(asked[0], rgb)
    known = asked[0]["person"] != PERSON_UNKNOWN
    boxes = _stack(asked, "bbox_xyxy", (4,)) if known else None
    annotated = _with_flags(_stack(asked, "keypoints_2d", (133, 3))) if known else None
    found = estimator.estimate(image, boxes, annotated)
    if known and found.num_people != len(asked):
        raise RuntimeError(
            f"{image.image_id}: {len(asked)} people were given to the keypoint estimator {estimator.info.name}, "
            f"{found.num_people} came back"
        )
    if found.num_people == 0:
        detail = f"no person was found in {rgb.shape[1]} x {rgb.shape[0]} pixels"
        yield _failed(asked[0] | _size(rgb), ErrorCode.NO_PERSON_FOUND, detail)
        return
    for index in range(found.num_people):
        source = asked[index] if known else asked[0]
        yield _person_row(source, index if not known else source["person"], image, found, index)


def _image_input(row: Row, rgb: np.ndarray) -> ImageInput:
    focal, principal = default_camera(rgb.shape[1], rgb.shape[0])
    image_id = f"{row['dataset']}/{row['split']}/{image_id_of(row['sample_id'])}"
    return ImageInput(
        image_id=image_id,
        rgb=rgb,
        focal_px=focal if row["focal_px"] is None else row["focal_px"],
        principal_px=principal if row["principal_px"] is None else np.asarray(row["principal_px"]),
    )


def _stack(rows: list[Row], column: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """(P, *shape) of a plan column, NaN for a person that has none; None if nobody has one."""
    if all(row[column] is None for row in rows):
        return None
    empty = np.full(shape, np.nan)
    return np.stack([empty if row[column] is None else np.reshape(row[column], shape) for row in rows])


def _with_flags(keypoints: np.ndarray | None) -> np.ndarray | None:
    """(P, 133, 3) with scores of 0, 0.5 (labelled, hidden) and 1 to the same with COCO's flags 0, 1, 2."""
    if keypoints is None:
        return None
    return np.concatenate([keypoints[..., :2], np.ceil(2 * keypoints[..., 2:])], axis=-1)


def _size(rgb: np.ndarray) -> Row:
    return {"image_width": rgb.shape[1], "image_height": rgb.shape[0]}


def _key(row: Row, person: int) -> Row:
    sample_id = make_sample_id(row["dataset"], row["split"], image_id_of(row["sample_id"]), person)
    names = ("dataset", "split", "image", "image_width", "image_height")
    return {"sample_id": sample_id, "person": person, **{name: row[name] for name in names}}


def _failed(row: Row, code: str, detail: str) -> Row:
    kept = {name: row.get(name) for name in ("bbox_xyxy", "bbox_source")}
    state = {"status": Status.FAILED, "error_code": code, "error_detail": detail}
    return _key(row, max(row["person"], 0)) | kept | state


def _person_row(source: Row, person: int, image: ImageInput, found: KeypointsOutput, index: int) -> Row:
    if found.box_source[index] not in BOX_SOURCES:
        raise RuntimeError(f"{image.image_id}: box source {found.box_source[index]!r} is not one of {BOX_SOURCES}")
    valid, reason = bool(found.valid[index]), found.reasons[index]
    state: Row = {"status": Status.OK, "error_code": None, "error_detail": None}
    if not valid:
        code = ErrorCode(reason or ErrorCode.KEYPOINTS_TOO_FEW)
        state = {"status": Status.FAILED, "error_code": code, "error_detail": code.sentence}
    return (
        _key(source | _size(image.rgb), person)
        | state
        | {
            "bbox_xyxy": found.boxes_xyxy[index],
            "bbox_source": found.box_source[index],
            "detection_score": float(found.scores[index]),
            "keypoints_2d": found.keypoints[index],
            "sigma_px": found.sigma_px[index],
            "part_valid": found.part_valid[index],
            "focal_px": image.focal_px,
            "principal_px": image.principal_px,
        }
        | pack_arrays({name: array[index] for name, array in found.evidence.items()})
    )
