"""Rendered people, annotated by the default estimators and fitted: the true error of each part beside the figures that
tell of it.

The estimators' errors hang together and leave little residual: how large they are, synthetic keypoints cannot teach.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.part_errors import PartErrors, with_errors
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, Status, image_id_of
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.shard import read_shard
from fitting.refine import RefineResult, refine
from model.body.parameters import EhmParameters
from tasks.annotate.steps.given import camera_of, coarse_of, observations_of
from tasks.body_model import full_body, sparse_body
from tasks.settings import BodyModelConfig
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_FILE, synthesise

CROP_SHARES = (0.5, 0.2, 0.12, 0.06, 0.06, 0.06)
"""Share of people of whom the camera shows all, the upper body, the head, the left hand, the right hand, the face."""
_MANIFEST = """
id: people
version: "1"
licence: CC0
access: rendered
adapter: synthetic
root: work/datasets/people
split: all
layout: {{count: {count}, seed: {seed}}}
boxes: detector
keypoints: none
purpose: calibration
"""
_SETTINGS = """
annotate:
  datasets: [people.yaml]
  roots: {people: work/datasets/people}
  keypoints: {backend: mediapipe}
  body: {backend: mediapipe}
  hands: {backend: mediapipe}
  face: {backend: mediapipe}
  body_model: {path: null}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refitted:
    """People of a rendered data set, fitted to the keypoints and estimates that were found."""

    truth: EhmParameters
    """What they are."""
    result: RefineResult
    """What they were fitted to be."""
    is_valid: NDArray[np.bool_]
    """(B, 4) which of their parts the labels call valid."""


def annotate_rendered(folder: Path, count: int, seed: int, crop_shares: tuple[float, ...] = CROP_SHARES) -> None:
    """Renders people into a folder and annotates them as data set `people`; what is done already stays.

    Raises:
        subprocess.CalledProcessError: The annotation failed; what it said is in `log.txt`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = SyntheticConfig(count=count, seed=seed, crop_shares=crop_shares)
    synthesise(folder / "work/datasets/people", config, full_body(BodyModelConfig()), jobs=os.cpu_count() or 1)
    (folder / "people.yaml").write_text(_MANIFEST.format(count=count, seed=seed), encoding="utf-8")
    (folder / "params.yaml").write_text(_SETTINGS, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "flows.cli.app", "annotate", "--local"]
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def refitted(folder: Path, dataset: str, focal_factor: float = 1.0) -> Refitted:
    """People of a rendered data set that was annotated in a folder, fitted again for their figures: those of photos in
    which one person was found.

    Args:
        folder: With the labels and the work of the annotation.
        dataset: Its id.
        focal_factor: Focal length of the fit over the true one.
    """
    labels = rows_below(folder / "labels" / dataset, LABEL_SCHEMA)
    images = np.array([image_id_of(sample_id) for sample_id in labels["sample_id"]], object)
    names, counts = np.unique(images, return_counts=True)
    chosen = np.flatnonzero(np.isin(images, names[counts == 1]) & (labels["status"] != Status.FAILED))
    parts = {
        step: rows_below(folder / "work/parts" / step / dataset, PART_SCHEMAS[step]).take(chosen)
        for step in ("keypoints", "body", "hands", "face")
    }
    people = parts["keypoints"]
    camera = camera_of(people)
    camera = replace(camera, focal_px=camera.focal_px * focal_factor)
    result = refine(sparse_body(BodyModelConfig()), observations_of(people), coarse_of(parts), camera)
    truth = Columns(read_shard(folder / "work/datasets" / dataset / TRUTH_FILE, LABEL_SCHEMA))
    row_of = {name: row for row, name in enumerate(truth["image"])}
    truth = truth.take(np.array([row_of[name] for name in people["image"]]))
    known = EhmParameters.from_columns({name: truth[name] for name in LABEL_PARAMETERS})
    is_valid = np.stack([labels[f"{part}_valid"][chosen] for part in PART_NAMES], 1)
    return Refitted(truth=known, result=result, is_valid=is_valid)


def annotated(folder: Path, count: int, seed: int) -> tuple[PartErrors, NDArray[np.bool_]]:
    """Renders and annotates people as `annotate_rendered` does, and gives what `in_labels` gives."""
    annotate_rendered(folder, count, seed)
    return in_labels(folder, "people")


def in_labels(folder: Path, dataset: str) -> tuple[PartErrors, NDArray[np.bool_]]:
    """The true errors of `refitted` people, and (B, 4) which of their parts the labels call valid."""
    people = refitted(folder, dataset)
    return with_errors(people.result.parameters, people.truth, people.result), people.is_valid


def rows_below(folder: Path, schema: pa.Schema) -> Columns:
    """All rows of the shards below a folder."""
    tables = [read_shard(path, schema) for path in sorted(folder.rglob("*.parquet"))]
    return Columns(pa.concat_tables(tables).unify_dictionaries())
