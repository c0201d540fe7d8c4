"""First step of a shard: find the people of each photo and their 133 keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import table_from_rows
from datasets_manifest.schema.labels import (
    KEYPOINTS_SCHEMA,
    PERSON_UNKNOWN,
    PLAN_SCHEMA,
    ErrorCode,
    Status,
    image_id_of,
    make_sample_id,
    pack_arrays,
)
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import ImageError
from model.estimators.base import (
    BOX_SOURCES,
    BatchKeypointEstimator,
    ImageInput,
    KeypointEstimator,
    KeypointsOutput,
    default_camera,
)
from tasks.annotate.photos import PhotoReader, in_chunks
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary, run_step
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.estimators import borrowed

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
        reader = PhotoReader.of_shard(shard, workspace)
        photos = (_Photo.read(list(people), reader) for _, people in groupby(plan, key=lambda row: row["image"]))
        rows: list[Row] = []
        with borrowed("keypoints", config.keypoints) as estimator:
            for chunk in in_chunks(photos, lambda photo: photo.image and photo.image.rgb):
                found = _estimate(estimator, [photo for photo in chunk if photo.image is not None])
                rows += [row for photo in chunk for row in photo.rows(found.get(id(photo)), estimator.info.name)]
        return table_from_rows(rows, KEYPOINTS_SCHEMA)

    return run_step("keypoints", shard, workspace, lambda: step_footer("keypoints", config, shard, workspace), compute)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Photo:
    """The planned people of one photo, and the photo if it can be read."""

    refused: list[Row]
    """People whom the plan already refused."""
    asked: list[Row]
    """The others: known people, or one row that stands for whoever is there."""
    image: ImageInput | None = None
    """None when nobody is asked for, or the photo cannot be read."""
    error: ImageError | None = None
    """Why it cannot."""

    @classmethod
    def read(cls, people: list[Row], reader: PhotoReader) -> _Photo:
        refused = [row for row in people if row["status"] == Status.FAILED]
        asked = [row for row in people if row["status"] != Status.FAILED]
        if not asked:
            return cls(refused=refused, asked=asked)
        try:
            rgb = reader.read(asked[0]["image"])
        except ImageError as error:
            return cls(refused=refused, asked=asked, error=error)
        return cls(refused=refused, asked=asked, image=_image_input(asked[0], rgb))

    @property
    def is_known(self) -> bool:
        """Whether the data set names the people."""
        return self.asked[0]["person"] != PERSON_UNKNOWN

    @property
    def boxes(self) -> np.ndarray | None:
        """(P, 4) boxes of the known people, if the data set has them."""
        return _stack(self.asked, "bbox_xyxy", (4,)) if self.is_known else None

    @property
    def annotated(self) -> np.ndarray | None:
        """(P, 133, 3) keypoints of the known people, if the data set has them."""
        return _with_flags(_stack(self.asked, "keypoints_2d", (133, 3))) if self.is_known else None

    def rows(self, found: KeypointsOutput | None, estimator: str) -> Iterator[Row]:
        """Rows of the photo: those the plan already refused, then one a person that the estimator gave."""
        yield from (_failed(row, row["error_code"], row["error_detail"]) for row in self.refused)
        if self.error is not None:
            yield from (_failed(row, self.error.code, self.error.detail) for row in self.asked)
        if self.image is None or found is None:
            return
        if self.is_known and found.num_people != len(self.asked):
            raise RuntimeError(
                f"{self.image.image_id}: {len(self.asked)} people were given to the keypoint estimator {estimator}, "
                f"{found.num_people} came back"
            )
        if found.num_people == 0:
            height, width = self.image.rgb.shape[:2]
            detail = f"no person was found in {width} x {height} pixels"
            yield _failed(self.asked[0] | _size(self.image.rgb), ErrorCode.NO_PERSON_FOUND, detail)
        for index in range(found.num_people):
            source = self.asked[index] if self.is_known else self.asked[0]
            person = source["person"] if self.is_known else index
            yield _person_row(source, person, self.image, found, index)


def _estimate(estimator: KeypointEstimator, photos: list[_Photo]) -> dict[int, KeypointsOutput]:
    """Output of each photo by its ``id``; the photos share the batches of an estimator that takes several at once."""
    images = [photo.image for photo in photos if photo.image is not None]
    if isinstance(estimator, BatchKeypointEstimator):
        outputs = estimator.estimate_batch(images, [photo.boxes for photo in photos])
    else:
        outputs = [
            estimator.estimate(image, photo.boxes, photo.annotated) for image, photo in zip(images, photos, strict=True)
        ]
    return {id(photo): output for photo, output in zip(photos, outputs, strict=True)}


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
