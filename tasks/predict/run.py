"""Prediction for photos and videos: rows of parameters or joint rotations, and what is drawn of them.

<out>/people/00000.parquet     one row a person, or a photo, frame or video without one (see its schema)
<out>/meshes/<name>.glb        all people of a photo; of a video <name>/<frame>.glb
<out>/overlays/<name>.jpg      the people over the photo; of a video one film, <name>.overlay.mp4
<out>/avatars/<name>/          films and strips of each person in new poses; of a video <name>/<frame>/

Where videos are smoothed, their rows are written as the network says them, then replaced file by file; only then are
they drawn.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import joined
from datasets_manifest.schema.predictions import prediction_schema, rotations_schema
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.decoded import MIB, in_chunks
from datasets_manifest.sources.frame_choice import FrameChoice
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.regressor.checkpoint import CheckpointMeta, load_regressor
from model.regressor.network import EhmRegressor
from model.regressor.photo_people import PhotoPeople
from model.regressor.predict import Predictor, check_coefficients
from tasks.body_model import ehm_assets
from tasks.display import Counter, Display
from tasks.estimators import borrowed, estimator_entry, estimator_settings
from tasks.film import check_encoder
from tasks.predict.drawn import Drawings
from tasks.predict.folder import PEOPLE, check_folder, earlier_results
from tasks.predict.inputs import InputFrame, Source, count_frames, decode_frames, find_sources
from tasks.predict.people import FoundPeople, find_people, whole_image
from tasks.predict.pictures import Painter
from tasks.predict.progress import PredictProgress
from tasks.predict.redrawn import redraw
from tasks.predict.rows import empty_rows, person_rows, unread_rows
from tasks.predict.settings import PredictConfig
from tasks.predict.smoothed import smooth_files
from tasks.predict.tracks import VideoTracks
from tasks.revisions import REVISIONS
from tasks.settings import uses_gpu
from tasks.version import code_version

log = logging.getLogger(__name__)

ROWS_PER_FILE = 4096
CHUNK_MB = 256
"""MiB of decoded photos that are held at a time."""
SHOTS_AT_ONCE = 32
"""Photos whose people share the batches of the networks."""


def predict(inputs: Sequence[str], config: PredictConfig, display: Display | None = None) -> PredictProgress:
    """Predicts the people of photos and videos and writes them below ``config.out``.

    Args:
        inputs: Photos, videos, folders of them, patterns.
        config: See there.
        display: Shows how far the run is.

    Raises:
        ValueError: An input, the checkpoint, the body model or the device cannot be used, or the folder already holds
            predictions.
        FileNotFoundError: There is no such checkpoint.
    """
    out = Path(config.out)
    check_folder(out)
    sources = find_sources(inputs, without=out)
    if config.overlays and any(source.is_video for source in sources):
        check_encoder()
    network, meta, digest = read_checkpoint(Path(config.checkpoint))
    named = {Path(os.path.realpath(source.path)) for source in sources}
    before = earlier_results(out, overwrite=config.overwrite, keep=named)
    progress = PredictProgress(frames_expected=count_frames(sources, config.frames))
    with ExitStack() as stack:
        run = _Run(config, network, meta, digest, stack, display)
        for path in before:  # Not before everything that the run needs is there.
            path.unlink()
        (out / PEOPLE).mkdir(parents=True, exist_ok=True)
        rows = run.schema.empty_table()
        try:
            for batch in _batches(sources, config.frames):
                new = run.rows(batch)
                progress.add(new)
                progress.frames += len(batch)
                progress.unread += sum(frame.rgb is None for frame in batch)
                progress.unlisted += sum(frame.source.problem is not None for frame in batch)
                rows = pa.concat_tables([rows, new])
                while rows.num_rows >= ROWS_PER_FILE:
                    run.write(rows.slice(0, ROWS_PER_FILE), progress.files)
                    rows, progress.files = rows.slice(ROWS_PER_FILE), progress.files + 1
                if display is not None:
                    progress.show(display)
        finally:  # Whatever ends the run, what was predicted is not lost.
            if rows.num_rows:
                run.write(rows, progress.files)
                progress.files += 1
        if config.smooth:
            run.smooth([out / PEOPLE / _file_name(index) for index in range(progress.files)], sources)
    return progress


def read_checkpoint(path: Path) -> tuple[EhmRegressor, CheckpointMeta, str]:
    """The network of a checkpoint, what it says of itself, and the sha256 of the file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is no checkpoint, or not of a network of its own settings.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} is not a file; training writes runs/regressor.safetensors")
    data = path.read_bytes()
    network, meta = load_regressor(data, source=str(path))
    return network, meta, hashlib.sha256(data).hexdigest()


def _batches(sources: Sequence[Source], frames: FrameChoice) -> Iterator[list[InputFrame]]:
    every = (frame for source in sources for frame in decode_frames(source, frames))
    for chunk in in_chunks(every, lambda frame: frame.rgb, CHUNK_MB * MIB):
        for first in range(0, len(chunk), SHOTS_AT_ONCE):
            yield chunk[first : first + SHOTS_AT_ONCE]


class _Run:
    """What stays the same over all photos of a run."""

    def __init__(
        self,
        config: PredictConfig,
        network: EhmRegressor,
        meta: CheckpointMeta,
        digest: str,
        stack: ExitStack,
        display: Display | None,
    ) -> None:
        self.config, self.meta, self.digest, self.display = config, meta, digest, display
        self.schema = _schema(config, network)
        self.body, painter = _bodies(config, network, meta)
        self.predictor = Predictor(
            network,
            device="cuda" if uses_gpu(config.run.device) else "cpu",
            precision=config.precision,
            mode=config.run.mode,
            batch_size=config.run.batch_size,
            body=self.body,
        )
        self.tracks = VideoTracks(config.tracks)
        self.drawings = None if painter is None else Drawings(config, painter, display)
        if self.drawings is not None:
            stack.enter_context(self.drawings.films)
        uses_backend = config.boxes == "keypoints"
        self.estimator = stack.enter_context(borrowed("keypoints", config.keypoints)) if uses_backend else None
        self.footer = self._footer()

    def rows(self, batch: Sequence[InputFrame]) -> pa.Table:
        """Rows of a few photos, whose pictures and meshes are written on the way."""
        read = [(frame, frame.rgb) for frame in batch if frame.rgb is not None]
        found = self._find([frame.name for frame, _ in read], [rgb for _, rgb in read])
        people = [
            PhotoPeople(rgb=rgb, boxes_xyxy=one.boxes_xyxy[one.usable], focal_px=self.config.focal_px or frame.focal_px)
            for (frame, rgb), one in zip(read, found, strict=True)
        ]
        predictions = self.predictor.predict_photos(people)
        by_frame = {
            id(frame): pair for (frame, _), pair in zip(read, zip(found, predictions, strict=True), strict=True)
        }
        tables: list[pa.Table] = []
        for frame in batch:
            if frame.rgb is None:
                assert frame.error is not None
                log.warning("%s cannot be read: %s", frame.name, frame.error.detail)
                tables.append(unread_rows(frame, self.schema))
                continue
            one, prediction = by_frame[id(frame)]
            tracks = self.tracks.add(frame, one)
            if not len(one):
                tables.append(empty_rows(frame, one, self.schema))
            else:
                tables.append(person_rows(frame, one, tracks, prediction, self.schema))
            if self.drawings is not None:
                if not (self.config.smooth and frame.source.is_video):
                    persons = np.flatnonzero(one.usable).tolist()
                    self.drawings.draw(frame, frame.rgb, persons, tracks, prediction)
                self.drawings.portray(frame, frame.rgb, one, prediction)
        return pa.concat_tables(tables)

    def write(self, rows: pa.Table, index: int) -> None:
        """Writes one Parquet file."""
        path = Path(self.config.out) / PEOPLE / _file_name(index)
        footer = dataclasses.replace(self.footer, shard=path.stem)
        write_shard(path, joined([rows], self.schema), footer)

    def smooth(self, paths: Sequence[Path], sources: Sequence[Source]) -> None:
        """Smooths the rows of videos in the files that were written, then draws them."""
        videos = [source for source in sources if source.is_video]
        if not videos:
            log.warning("Nothing is smoothed: there is no video among what is predicted")
            return
        counter = Counter("files smoothed", len(paths), self.display)
        num_smooth = sum(counter.count(smooth_files(paths, self.schema, self.config.smoothing, self.body)))
        if not num_smooth:
            log.warning(
                "Nothing could be smoothed: nobody is in four frames within %g s of one, without a gap of more than "
                "%g s; look at more frames (--every, --fps), or change smoothing.reach_s and smoothing.max_step_s",
                *(self.config.smoothing.reach_s, self.config.smoothing.max_step_s),
            )
        if self.drawings is not None and (self.config.overlays or self.config.meshes is not None):
            counter = Counter("frames drawn", count_frames(videos, self.config.frames), self.display)
            for _ in counter.count(redraw(paths, self.schema, videos, self.config.frames, self.drawings)):
                pass

    def _find(self, names: list[str], photos: list[Any]) -> list[FoundPeople]:
        if self.estimator is None:
            return [whole_image(rgb) for rgb in photos]
        return find_people(self.estimator, names, photos) if photos else []

    def _footer(self) -> Footer:
        config = self.config
        uses_backend = config.boxes == "keypoints"
        estimators = [estimator_entry("keypoints", config.keypoints)] if uses_backend else []
        stated = {
            "step": "predict",
            "revision": REVISIONS["predict"],
            "checkpoint": {"sha256": self.digest, "step": self.meta.step, "network": self.meta.config.to_dict()},
            "boxes": {"rule": config.boxes, "settings": estimator_settings(config.keypoints) if uses_backend else {}},
            "estimators": estimators,
            "frames": dataclasses.asdict(config.frames),
            "tracks": dataclasses.asdict(config.tracks),
            "focal_px": config.focal_px,
            "precision": config.precision,
            "mode": config.run.mode,
            "rotations_only": config.rotations_only,
            "body_model": dict(self.meta.body_model),
        }
        regressor = {
            "part": "regressor",
            "name": "ehm-regressor",
            "version": self.meta.code_version,
            "weights_sha256": self.digest,
            "licence": "",
            "skeleton": "smplx",
        }
        return Footer(
            config=stated,
            code_version=code_version(),
            manifest={},
            shard="",
            body_model=self.meta.body_model,
            estimators=(regressor, *estimators),
        )


def _file_name(index: int) -> str:
    return f"{index:05d}.parquet"


def _schema(config: PredictConfig, network: EhmRegressor) -> pa.Schema:
    if config.rotations_only:
        return rotations_schema()
    return prediction_schema(network.config.size)


def _bodies(
    config: PredictConfig, network: EhmRegressor, meta: CheckpointMeta
) -> tuple[KeypointBody | None, Painter | None]:
    """The body for joints and keypoints, and the one for meshes; rotations alone need neither."""
    if config.rotations_only:
        return None, None
    assets = ehm_assets(config.body_model)
    if body_identity(meta.body_model) != body_identity(assets.entry):
        raise ValueError(
            f"checkpoint {config.checkpoint} speaks of the body model {body_name(meta.body_model)}, this run uses "
            f"{body_name(assets.entry)}; give the folder of the former with --body-model and its fusion with --set "
            "body_model.fusion, or say --rotations-only, which needs none"
        )
    size = network.config.size
    points = KeypointBody(assets, size)
    whose = {"network_name": f"checkpoint {config.checkpoint}", "body_name": f"the body model {assets.smplx.name}"}
    check_coefficients(network.config, points, **whose)
    if not config.overlays and config.meshes is None and not config.render:
        return points, None
    return points, Painter(EHMs(assets, size))
