"""First step of a shard: find the people of each photo and their 133 keypoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.group_columns import camera_track_column
from datasets_manifest.schema.labels import BODY_GROUP_NAMES, PART_NAMES, ErrorCode, Status, image_id_of, make_sample_id
from datasets_manifest.schema.part_files import PERSON_UNKNOWN, keypoints_schema
from datasets_manifest.schema.person_columns import NUM_KEYPOINTS
from datasets_manifest.sources.decoded import MIB, in_chunks
from datasets_manifest.sources.images import ImageError, UnreachableError
from model.estimators.base import (
    BOX_SOURCES,
    BatchKeypointEstimator,
    ImageInput,
    KeypointEstimator,
    KeypointsOutput,
    default_camera,
)
from model.estimators.refusals import refusals
from tasks.annotate.photos import PhotoReader
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.trust import trusted_of, without_untrusted
from tasks.estimators import borrowed, computing
from tasks.tracks.cuts import look_of
from tasks.tracks.films import FilmedPhoto, body_points, follow
from tasks.tracks.pieces import NOBODY

_SCHEMA = keypoints_schema(has_trust=True)


def annotate_keypoints(job: ShardJob) -> pa.Table:
    """Annotates the keypoints of one shard: a row a person, and one row for a photo in which nobody was found.

    Raises:
        RuntimeError: A photo that has a label may not be read, or its disk failed: a failed row would replace it.
    """
    plan, reader = job.columns("plan"), job.photos()
    in_groups = bool(plan.has("group").any())
    photos = (_Photo.read(plan, people, reader, job) for people in _by_photo(plan["sample_id"]))
    tables: list[pa.Table] = []
    filmed: list[FilmedPhoto] = []
    with borrowed("keypoints", job.config.keypoints) as estimator:
        chunk_bytes = job.config.run.photo_chunk_mb * MIB
        for chunk in in_chunks(photos, lambda photo: photo.image and photo.image.rgb, chunk_bytes):
            with computing("keypoints", job.config.keypoints):
                found = _estimate(estimator, [photo for photo in chunk if photo.image is not None])
            tables += [table for photo in chunk for table in photo.tables(found.get(id(photo)), estimator.info.name)]
            if in_groups:
                filmed += [photo.filmed(found.get(id(photo))) for photo in chunk]
    table = joined(tables, _SCHEMA)
    if not plan.has("trusted").any():
        table = table.drop_columns(["trusted"])
    if not in_groups:
        return table
    tracks = np.concatenate([np.zeros(0, int), *follow(filmed, job.config.groups.tracks)])
    return table.append_column(camera_track_column(), pa.array(tracks, pa.int32(), mask=tracks == NOBODY))


def _by_photo(sample_ids: np.ndarray) -> list[np.ndarray]:
    """Numbers of neighbouring rows that are of one image of the data set; two images may share a file."""
    if not len(sample_ids):
        return []
    images = np.array([image_id_of(sample_id) for sample_id in sample_ids])
    return np.split(np.arange(len(images)), np.flatnonzero(images[1:] != images[:-1]) + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Photo:
    """The planned people of one photo, and the photo if it can be read."""

    plan: Columns
    """Rows of the shard's plan."""
    refused: np.ndarray
    """Numbers of the people whom the plan already refused."""
    asked: np.ndarray
    """The others: known people, or one row that stands for whoever is there."""
    image: ImageInput | None = None
    """None when nobody is asked for, or the photo cannot be used."""
    error: ImageError | None = None
    """Why it cannot."""
    size: dict[str, Values] = field(default_factory=dict)
    """Columns of the size of a photo that was read, though it cannot be used."""

    @classmethod
    def read(cls, plan: Columns, people: np.ndarray, reader: PhotoReader, job: ShardJob) -> _Photo:
        is_refused = plan["status"][people] == Status.FAILED
        refused, asked = people[is_refused], people[~is_refused]
        if not len(asked):
            return cls(plan=plan, refused=refused, asked=asked)
        image = str(plan["image"][asked[0]])
        try:
            rgb = reader.read(image)
        except ImageError as error:
            if isinstance(error, UnreachableError) and job.has_good_label(image):
                raise RuntimeError(f"{error.detail} Its label stays until it can be read.") from error
            return cls(plan=plan, refused=refused, asked=asked, error=error)
        error = _size_error(plan, asked[0], rgb, reader)
        if error is not None:
            return cls(plan=plan, refused=refused, asked=asked, error=error, size=_size(rgb, len(asked)))
        return cls(
            plan=plan, refused=refused, asked=asked, image=_image_input(plan, asked[0], rgb, reader.focal_px(image))
        )

    @property
    def is_known(self) -> bool:
        """Whether the data set names the people."""
        return self.plan["person"][self.asked[0]] != PERSON_UNKNOWN

    @property
    def boxes(self) -> np.ndarray | None:
        """(P, 4) boxes of the known people, if the data set has them."""
        return self._known("bbox_xyxy")

    @property
    def annotated(self) -> np.ndarray | None:
        """(P, 133, 3) keypoints of the known people with COCO's flags 0, 1, 2, if the data set has them."""
        keypoints = self._known("keypoints_2d")
        if keypoints is None:
            return None
        # The plan has scores of 0, 0.5 (labelled, hidden) and 1.
        return np.concatenate([keypoints[..., :2], np.ceil(2 * keypoints[..., 2:])], axis=-1)

    def _known(self, column: str) -> np.ndarray | None:
        """(P, ...) of the known people, NaN where one has no value; None if nobody has one."""
        if not self.is_known or not self.plan.has(column)[self.asked].any():
            return None
        return self.plan[column][self.asked].astype(np.float64)

    def tables(self, found: KeypointsOutput | None, estimator: str) -> Iterator[pa.Table]:
        """Rows of the photo: those the plan already refused, then one a person that the estimator gave."""
        if len(self.refused):
            codes, details = self.plan["error_code"], self.plan["error_detail"]
            yield self._failed(self.refused, codes[self.refused], details[self.refused])
        if self.error is not None:
            num = len(self.asked)
            yield self._failed(self.asked, [self.error.code] * num, [self.error.detail] * num, self.size)
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
            yield self._failed(self.asked[:1], [ErrorCode.NO_PERSON_FOUND], [detail], _size(self.image.rgb, 1))
        else:
            yield self._found(self.image, found)

    def filmed(self, found: KeypointsOutput | None) -> FilmedPhoto:
        """The photo of a group, its people in the order of its rows."""
        num_found = 0 if found is None else found.num_people
        is_known = self.plan["person"][self.asked] != PERSON_UNKNOWN
        rows = np.concatenate([self.refused, np.repeat(self.asked, np.where(is_known, 1, max(1, num_found)))])
        boxes = np.full((len(rows), 4), np.nan)
        keypoints, sigma_px = np.zeros((len(rows), NUM_KEYPOINTS, 2)), np.full((len(rows), NUM_KEYPOINTS), np.inf)
        if found is not None and num_found:
            boxes[-num_found:], sigma_px[-num_found:] = found.boxes_xyxy, found.sigma_px
            keypoints[-num_found:] = found.keypoints[..., :2]
        place: dict[str, Any] = {name: self.plan[name][rows[0]] for name in ("group", "camera", "frame")}
        return FilmedPhoto(
            film=None if place["group"] is None else (place["group"], place["camera"]),
            frame=int(place["frame"]),
            look=None if self.image is None else look_of(self.image.rgb),
            boxes_xyxy=boxes,
            points_px=body_points(keypoints, sigma_px),
            known=np.where(self.plan.has("track"), self.plan["track"], NOBODY)[rows],
        )

    def _failed(
        self,
        rows: np.ndarray,
        codes: Sequence[Any] | np.ndarray,
        details: Sequence[Any] | np.ndarray,
        size: dict[str, Values] | None = None,
    ) -> pa.Table:
        people = self.plan.take(rows)
        state = {"status": [Status.FAILED] * len(rows), "error_code": codes, "error_detail": details}
        kept = {name: people.table[name] for name in ("bbox_xyxy", "bbox_source")}
        columns = _key(people, np.maximum(people["person"], 0)) | kept | state | (size or {})
        return table_from_columns(columns, _SCHEMA)

    def _found(self, image: ImageInput, found: KeypointsOutput) -> pa.Table:
        num = found.num_people
        unknown = sorted(set(found.box_source) - set(BOX_SOURCES))
        if unknown:
            raise RuntimeError(f"{image.image_id}: box source {unknown[0]!r} is not one of {BOX_SOURCES}")
        people = self.plan.take(self.asked if self.is_known else np.repeat(self.asked, num))
        found = without_untrusted(found, trusted_of(people))
        # That nobody was found is said of photos; of a person that is known, it means no keypoints.
        said = [None if reason and reason.code == ErrorCode.NO_PERSON_FOUND else reason for reason in found.reasons]
        reasons = refusals(found.valid, said, ErrorCode.KEYPOINTS_TOO_FEW)
        columns = {
            **_key(people, people["person"] if self.is_known else np.arange(num)),
            "trusted": people.table["trusted"],
            **_size(image.rgb, num),
            "status": [Status.OK if reason is None else Status.FAILED for reason in reasons],
            "error_code": [reason and reason.code for reason in reasons],
            "error_detail": [reason and reason.detail for reason in reasons],
            "bbox_xyxy": found.boxes_xyxy,
            "bbox_source": found.box_source,
            "detection_score": found.scores,
            "keypoints_2d": found.keypoints,
            "sigma_px": found.sigma_px,
            "part_valid": np.asarray(found.part_valid, bool),
            **{f"{part}_detail": [own[k] for own in found.part_details] for k, part in enumerate(PART_NAMES)},
            "body_group_valid": np.array([[detail is None for detail in own] for own in found.limb_details]),
            **{f"{limb}_detail": [own[k] for own in found.limb_details] for k, limb in enumerate(BODY_GROUP_NAMES)},
            "focal_px": np.full(num, image.focal_px),
            "principal_px": np.tile(image.principal_px, (num, 1)),
            **pack_arrays([{name: array[i] for name, array in found.evidence.items()} for i in range(num)], "evidence"),
        }
        return table_from_columns(columns, _SCHEMA)


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


def _image_input(plan: Columns, row: int, rgb: np.ndarray, exif_focal_px: float | None) -> ImageInput:
    """A photo with the camera that the data set states, else the photo itself, else an assumed one."""
    assumed, principal = default_camera(rgb.shape[1], rgb.shape[0])
    stated = float(plan["focal_px"][row])
    return ImageInput(
        image_id=f"{plan['dataset'][row]}/{plan['split'][row]}/{image_id_of(plan['sample_id'][row])}",
        rgb=rgb,
        focal_px=stated if not math.isnan(stated) else exif_focal_px or assumed,
        principal_px=plan["principal_px"][row].astype(float) if plan.has("principal_px")[row] else principal,
    )


def _size_error(plan: Columns, row: int, rgb: np.ndarray, reader: PhotoReader) -> ImageError | None:
    """Why annotations or a calibration do not fit a photo: they were made on one of another size. Where a data set has
    neither, none."""
    if plan["person"][row] == PERSON_UNKNOWN and math.isnan(plan["focal_px"][row]):
        return None
    height, width = rgb.shape[:2]
    # 0 where the data set does not say.
    stated_width, stated_height = (int(plan[name][row]) for name in ("image_width", "image_height"))
    if stated_width in (0, width) and stated_height in (0, height):
        return None
    image = str(plan["image"][row])
    stated = f"{stated_width or '?'} x {stated_height or '?'}"
    detail = f"{image}: the data set states {stated} px, the photo has {width} x {height} px"
    turn = reader.turn(image) if (stated_width, stated_height) == (height, width) else 1
    if turn > 1:
        detail += f" once it is turned as its EXIF orientation {turn} says; turn the annotations too, or drop the tag."
    else:
        detail += "; give the photo that was annotated or calibrated, or correct what the data set states."
    return ImageError(ErrorCode.SOURCE_ROW_INVALID, detail)


def _size(rgb: np.ndarray, count: int) -> dict[str, Values]:
    return {"image_width": np.full(count, rgb.shape[1]), "image_height": np.full(count, rgb.shape[0])}


def _key(people: Columns, persons: np.ndarray) -> dict[str, Values]:
    """Key columns of planned rows, with these numbers of the people."""
    datasets, splits, ids = (people[name] for name in ("dataset", "split", "sample_id"))
    sample_ids = [
        make_sample_id(dataset, split, image_id_of(sample_id), person)
        for dataset, split, sample_id, person in zip(datasets, splits, ids, persons, strict=True)
    ]
    copied = ("dataset", "split", "image", "image_width", "image_height")
    return {"sample_id": sample_ids, "person": persons, **{name: people.table[name] for name in copied}}
