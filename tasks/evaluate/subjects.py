"""What can be measured: the labels of a run, predictions in files, or a checkpoint; whichever it is, as rows of labels.

A checkpoint is given the boxes that the data set annotates and the camera that it states, as HMR2 is in its evaluation;
labels and predictions found their people themselves.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import Manifest
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.group_columns import lens_columns
from datasets_manifest.schema.labels import image_id_of, label_schema, make_sample_id
from datasets_manifest.schema.predictions import TRACK, prediction_schema
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_image
from model.body.assets import EhmAssets
from model.body.keypoint_body import KeypointBody
from model.imaging.boxes import box_problem
from model.regressor.checkpoint import load_regressor
from model.regressor.photo_people import PhotoPeople
from model.regressor.predict import Predictor, check_coefficients
from tasks.evaluate.matching import KnownPhotos
from tasks.evaluate.said import SAID, Said, Subject, batched, check_body, nothing, read_people, said_table

log = logging.getLogger(__name__)

CHECKPOINT_SUFFIX = ".safetensors"
_LENS = tuple(field.name for field in lens_columns())
"""Of labels alone: whoever predicts takes a photo for that of a pinhole, and what is said holds in that photo."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSubject:
    """The labels below a folder."""

    folder: Path
    """Holds ``<data set>/<split>/<shard>.parquet``."""
    assets: EhmAssets
    """Their body."""
    name: str = ""
    """In tables."""

    @property
    def stated(self) -> Mapping[str, Any]:
        """Folder, as it was named."""
        return {"kind": "labels", "folder": str(self.folder)}

    def say(self, manifest: Manifest, records: Iterable[ImageRecord], images: ImageSource) -> Iterator[Said]:
        """Shard by shard, then the photos without a label."""
        files = list(shard_files(self.folder / manifest.id / manifest.split))
        if not files:
            raise ValueError(
                f"{self.folder} has no labels of the data set {manifest.id}, split {manifest.split}; annotate it first"
            )
        known = KnownPhotos(records)
        for path in files:
            with Shard(path) as shard:
                names = [*SAID, *_LENS, *LABEL_PARAMETERS]
                labels = Columns(read_people(shard, label_schema(in_groups=True), names, self.assets))
            yield Said(known.take(dict.fromkeys(map(image_id_of, labels["sample_id"]))), labels)
        for batch in batched(known.rest()):
            yield Said(batch, nothing(DEFAULT_SIZE))


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionSubject:
    """Predictions in files, as ``pear predict`` writes them."""

    path: Path
    """A Parquet file, or the folder of all files of a run."""
    assets: EhmAssets
    """Their body."""
    name: str = ""
    """In tables."""

    @property
    def stated(self) -> Mapping[str, Any]:
        """Path, as it was named."""
        return {"kind": "predictions", "path": str(self.path)}

    def say(self, manifest: Manifest, records: Iterable[ImageRecord], images: ImageSource) -> Iterator[Said]:
        """Every photo with the rows whose source ends as its path does."""
        table = self._table()
        rows_of: defaultdict[str, list[int]] = defaultdict(list)
        for row, source in enumerate(map(str, table["source"].to_pylist())):
            rows_of[source].append(row)
        by_name: defaultdict[str, list[str]] = defaultdict(list)
        for source in rows_of:
            by_name[source.rpartition("/")[2]].append(source)
        num_known = 0
        for batch in batched(records):
            rows, ids = [], []
            for record in batch:
                sources = [s for s in by_name[record.path.rpartition("/")[2]] if f"/{s}".endswith(f"/{record.path}")]
                num_known += bool(sources)
                for k, row in enumerate(row for source in sources for row in rows_of[source]):
                    rows.append(row)
                    ids.append(make_sample_id(manifest.id, manifest.split, record.image_id, k))
            said = table.take(pa.array(rows, pa.int64())).select([*SAID[1:], *LABEL_PARAMETERS])
            key = pa.chunked_array([pa.array(ids, pa.string())])
            yield Said(batch, Columns(said.add_column(0, label_schema().field("sample_id"), key)))
        if not num_known:
            raise ValueError(f"{self.path} has no photo of the data set {manifest.id}; predict its photos first")

    def _table(self) -> pa.Table:
        files = [self.path] if self.path.is_file() else list(shard_files(self.path))
        tables = []
        for file in files:
            with Shard(file) as shard:
                if not {"source", "betas"} <= set(shard.schema.names):
                    raise ValueError(f"{file} holds no predictions of whole people; name the folder `people` of some")
                schema = prediction_schema()
                names = [name for name in schema.names if name != TRACK]
                tables.append(read_people(shard, schema, names, self.assets))
        return pa.concat_tables(tables).unify_dictionaries()


class CheckpointSubject:
    """A regressor, which looks at the people whom the data set annotates.

    Args:
        path: Its file.
        assets: The body.
        device: Where it runs.
        name: In tables.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no regressor's, or of another body.
    """

    def __init__(self, path: Path, assets: EhmAssets, *, device: str = "cpu", name: str = "") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"checkpoint {path} is not a file; training writes runs/regressor.safetensors")
        data = path.read_bytes()
        network, meta = load_regressor(data, source=str(path))
        check_body(path, meta.body_model, assets)
        self.size = network.config.size
        body = KeypointBody(assets, self.size)
        check_coefficients(network.config, body)
        self.name = name
        self.stated = {
            "kind": "checkpoint",
            "path": str(path),
            "sha256": hashlib.sha256(data).hexdigest(),
            "step": meta.step,
        }
        self.snapshot_hashes = frozenset(meta.snapshot_hashes)
        self._predictor = Predictor(network, device=device, body=body)

    def say(self, manifest: Manifest, records: Iterable[ImageRecord], images: ImageSource) -> Iterator[Said]:
        """A few photos at a time; one that cannot be read has no rows, and is logged."""
        for batch in batched(records):
            yield Said(batch, self._predicted(manifest, batch, images))

    def _predicted(self, manifest: Manifest, batch: Sequence[ImageRecord], images: ImageSource) -> Columns:
        seen, photos = [], []
        for record in batch:
            boxes = [person.bbox_xyxy for person in record.people if person.bbox_xyxy is not None]
            try:
                rgb = decode_image(images.read(record.path), name=record.path) if boxes else None
            except ImageError as error:
                log.warning("%s: %s cannot be read: %s", manifest.id, record.path, error.detail)
                continue
            if rgb is not None:
                principal = None if record.principal_px is None else np.asarray(record.principal_px)
                size = rgb.shape[1], rgb.shape[0]
                usable = np.array([box for box in boxes if box_problem(box, *size) is None]).reshape(-1, 4)
                seen.append(record)
                photos.append(PhotoPeople(rgb=rgb, boxes_xyxy=usable, focal_px=record.focal_px, principal_px=principal))
        tables = []
        for record, photo, said in zip(seen, photos, self._predictor.predict_photos(photos), strict=True):
            count, (height, width) = len(said), photo.rgb.shape[:2]
            if not count:
                continue
            ids = [make_sample_id(manifest.id, manifest.split, record.image_id, k) for k in range(count)]
            columns = {
                "sample_id": ids,
                "status": [Status.OK] * count,
                "bbox_xyxy": photo.boxes_xyxy,
                "image_width": [width] * count,
                "image_height": [height] * count,
                "focal_px": [said.focal_px] * count,
                "principal_px": [said.principal_px] * count,
                **{name: said.parameters.columns()[name].numpy() for name in LABEL_PARAMETERS},
            }
            tables.append(said_table(columns, self.size))
        return Columns(pa.concat_tables(tables)) if tables else nothing(self.size)


def subject_of(path: Path, assets: EhmAssets, *, device: str = "cpu") -> Subject:
    """The subject that a path names: a checkpoint by its suffix, predictions by their columns, else labels.

    Raises:
        FileNotFoundError: There is nothing.
        ValueError: It is none of the three.
    """
    name = str(path)
    if path.suffix == CHECKPOINT_SUFFIX:
        return CheckpointSubject(path, assets, device=device, name=name)
    first = path if path.is_file() else next(shard_files(path), None)
    if first is None:
        raise FileNotFoundError(
            f"{path}: expected a checkpoint ({CHECKPOINT_SUFFIX}), a folder of labels, or predictions (Parquet, or the "
            "folder `people` that pear predict wrote)"
        )
    with Shard(first) as shard:
        is_prediction = "source" in shard.schema.names
    return (
        PredictionSubject(path=path, assets=assets, name=name)
        if is_prediction
        else LabelSubject(folder=path, assets=assets, name=name)
    )
