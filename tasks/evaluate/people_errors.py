"""Errors of everybody whom a benchmark counts, person by person, and what they come to.

3D errors (``model.metrics.person``) are of people whose truth is known, each of a part that the photo shows
(``model.body.shown``), whatever the label says of itself: so that nobody is better by claiming less. PCK is of the 17
keypoints of COCO. Who was not found has no error and counts as not found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import image_id_of
from model.body.assets import EhmAssets
from model.body.keypoint_body import KeypointBody
from model.body.skeleton import BODY, KEYPOINT_JOINT
from model.metrics.joints import pa_mpjpe_mm
from model.metrics.keypoints import PCK, PCK_THRESHOLDS, box_unit_px, relative_distances
from model.metrics.person import PosedByParameters
from tasks.evaluate.agora import AGORA_ERRORS, AgoraErrors
from tasks.evaluate.label_errors import posed_points, truth_errors
from tasks.evaluate.matching import Matching, match_people
from tasks.evaluate.mesh_errors import JOINT_ERRORS, WHOLE_ERRORS, MeshErrors
from tasks.evaluate.said import Said
from tasks.lenses import photo_points

ERRORS = (
    "pa_mpjpe_mm",
    "mpjpe_mm",
    "orient_deg",
    "hand_pa_pve_mm",
    "head_pa_mm",
    "head_canonical_mm",
    "head_scaled_mm",
    "head_posed_mm",
    "lip_max_mm",
    "lve_m2",
    "head_scale_error",
    "points_pa_mm",
    *WHOLE_ERRORS,
    *JOINT_ERRORS,
    *AGORA_ERRORS,
)
"""3D errors of a person; a hand's is the mean of those that are shown. `points_pa_mm` is of real people: PA-MPJPE of
those of COCO's 17 keypoints that the data set knows in 3D, from four on. Meshes and joints after it need licensed
files, and so do hands of real people (``tasks.evaluate.mesh_errors``); the last are of AGORA, whose people are matched
by joints."""
_LEAST_POINTS = 4
_LEAST_SHARE = 0.01
"""Of their boxes that people take; no network is so far off."""
NUM_BODY_POINTS = BODY.stop
_LIMBS = slice(5, 17)
_SIDES = ("left", "right")
RIGHT = {limit: f"right_{limit:g}".replace(".", "_") for limit in PCK_THRESHOLDS}
"""Threshold -> column with a person's number of right keypoints."""
PCK_NAMES = tuple(name.replace("right", "pck") for name in RIGHT.values())
"""Of the figures, one a threshold."""
Keeps = Callable[[PersonRecord], bool]


def everybody(person: PersonRecord) -> bool:
    """Whether a benchmark counts a person: always."""
    return person.bbox_xyxy is not None and person.error_code is None


def all_limbs(person: PersonRecord) -> bool:
    """Of SPIN and HMR2: those whose shoulders, elbows, wrists, hips, knees and ankles are all annotated."""
    return everybody(person) and person.keypoints is not None and bool((person.keypoints[_LIMBS, 2] > 0).all())


class PeopleErrors:
    """Takes what a subject says of a data set, a few photos at a time.

    Args:
        assets: The body of truth and subject.
        keeps: Whom the benchmark counts.
        meshes: Measures against meshes of licensed bodies; None: nobody is.
        agora: Measures by AGORA's protocol; None: the data set is another.
    """

    def __init__(
        self,
        assets: EhmAssets,
        keeps: Keeps = everybody,
        meshes: MeshErrors | None = None,
        agora: AgoraErrors | None = None,
    ) -> None:
        self._assets, self._keeps, self.meshes, self.agora = assets, keeps, meshes, agora
        self._posers: dict[BodySize, tuple[PosedByParameters, KeypointBody]] = {}
        self._rows: list[dict[str, Any]] = []
        self.pck = PCK(NUM_BODY_POINTS)
        self.false_people = 0

    def add(self, said: Said) -> None:
        """Measures some photos."""
        known = {
            (record.image_id, person.index): row
            for record in said.records
            for person in record.people
            if self._keeps(person)
            for row in [{"image": record.image_id, "person": person.index, "found": False}]
        }
        matching = match_people(said.labels, said.records)
        self.false_people += matching.num_labels - matching.num_pairs
        keys = [
            (image_id_of(sample_id), person.index)
            for sample_id, person in zip(matching.labels["sample_id"], matching.people, strict=True)
        ]
        kept = np.array([row for row, key in enumerate(keys) if key in known], np.int64)
        if len(kept):
            counted = Matching(
                labels=matching.labels.take(kept),
                people=tuple(matching.people[row] for row in kept),
                num_known=len(known),
                num_labels=len(kept),
            )
            for row, errors in zip(kept, self._measured(counted), strict=True):
                known[keys[row]] |= {"found": True, **errors}
        self._rows += known.values()
        if self.agora is not None:
            self.agora.add(said)

    def _measured(self, matching: Matching) -> list[dict[str, float]]:
        posed, points = self._poser(_size(matching.labels))
        errors = truth_errors(matching, posed, of_shown=True)
        columns = {name: values for name, values in errors.items() if name in ERRORS and values.ndim == 1}
        for side, values in zip(_SIDES, errors.get("hand_pa_pve_mm", np.zeros((0, 2))).T, strict=True):
            columns[f"{side}_hand_pa_pve_mm"] = values
        measured: list[dict[str, float]] = [{} for _ in matching.people]
        with_truth = [own for own, person in zip(measured, matching.people, strict=True) if person.truth]
        for name, values in columns.items():
            for own, value in zip(with_truth, values.tolist(), strict=True):
                if np.isfinite(value):
                    own[name] = value
        points_m, joints_m = posed_points(matching.labels, points)
        _measure_points(matching, points_m, joints_m, measured)
        projected = photo_points(matching.labels, points_m)
        _check_unit(matching, projected)
        self._count_keypoints(matching, projected, measured)
        if self.meshes is not None:
            for own, of_mesh in zip(measured, self.meshes.of(matching, points.size, posed), strict=True):
                own |= of_mesh
        return measured

    def _count_keypoints(self, matching: Matching, projected: np.ndarray, measured: list[dict[str, float]]) -> None:
        rows = [row for row, person in enumerate(matching.people) if person.keypoints is not None]
        if not rows:
            return
        people = [matching.people[row] for row in rows]
        truth = torch.from_numpy(np.stack([np.asarray(p.keypoints)[:NUM_BODY_POINTS] for p in people]).astype(float))
        truth[..., 2] = (truth[..., 2] > 0).double()  # annotated is sure, whether or not it can be seen
        unit = box_unit_px(torch.from_numpy(np.stack([np.asarray(person.bbox_xyxy) for person in people])))
        found = torch.from_numpy(projected[rows, :NUM_BODY_POINTS].astype(float))
        self.pck.update(found, truth, unit)
        distances = relative_distances(found, truth, unit).numpy()
        for row, own in zip(rows, distances, strict=True):
            measured[row]["keypoints"] = float(np.isfinite(own).sum())
            measured[row] |= {name: float((own < limit).sum()) for limit, name in RIGHT.items()}
            if np.isfinite(own).any():
                measured[row]["keypoint_rel"] = float(np.nanmean(own))

    def _poser(self, size: BodySize) -> tuple[PosedByParameters, KeypointBody]:
        if size not in self._posers:
            self._posers[size] = PosedByParameters(self._assets, size), KeypointBody(self._assets, size)
        return self._posers[size]

    @property
    def num_known(self) -> int:
        """People whom the benchmark counts, found or not."""
        return len(self._rows)

    def table(self) -> pa.Table:
        """One row a person: ``image``, ``person``, ``found``, and the errors that the person has."""
        names = [name for name in ERRORS if name != "hand_pa_pve_mm"]
        names += [f"{side}_hand_pa_pve_mm" for side in _SIDES]
        floats = [*names, "keypoint_rel", "keypoints", *RIGHT.values()]
        schema = pa.schema(
            [
                ("image", pa.string()),
                ("person", pa.int32()),
                ("found", pa.bool_()),
                *((n, pa.float64()) for n in floats),
            ]
        )
        unknown = set() if self.meshes is None else self.meshes.unknown_joints  # known of some, but not of all
        rows = [{name: value for name, value in row.items() if name not in unknown} for row in self._rows]
        if self.agora is not None:
            rows = [row | self.agora.errors.get((row["image"], row["person"]), {}) for row in rows]
        return pa.Table.from_pylist(rows, schema=schema)


def _check_unit(matching: Matching, projected: np.ndarray) -> None:
    """Refuses people (P, 133, 2) px who are specks in their own boxes: a thousand times too far away."""
    body = projected[:, :NUM_BODY_POINTS]
    boxes = matching.labels["bbox_xyxy"].astype(float)
    shares = np.ptp(body, axis=1).max(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1), 1.0)
    if len(shares) and (share := float(np.nanmedian(shares))) < _LEAST_SHARE:
        raise ValueError(
            f"{matching.labels['sample_id'][0]} and others: the body in the photo is {share:.2g} times as large as its "
            "box, expected about 1; transl_m has to be metres: is it millimetres?"
        )


def _measure_points(
    matching: Matching, points_m: np.ndarray, joints_m: np.ndarray, measured: list[dict[str, float]]
) -> None:
    """Adds `points_pa_mm` of people whose points are known in 3D, in any frame; where these are joints, of joints."""
    of_joints = np.full((len(joints_m), NUM_BODY_POINTS, 3), np.nan, points_m.dtype)
    own_joints = {point: joint for point, joint in KEYPOINT_JOINT.items() if point < NUM_BODY_POINTS}
    of_joints[:, list(own_joints)] = joints_m[:, list(own_joints.values())]
    for row, (person, own) in enumerate(zip(matching.people, measured, strict=True)):
        truth = person.truth_3d
        if truth is None or truth.keypoints_m is None:
            continue
        said = (of_joints if truth.points_are == "joints" else points_m)[row, :NUM_BODY_POINTS]
        wanted = truth.keypoints_m[:NUM_BODY_POINTS]
        known = np.flatnonzero((wanted[:, 3] > 0) & np.isfinite(said).all(1))
        if len(known) >= _LEAST_POINTS:
            pair = torch.from_numpy(said[None, known]), torch.from_numpy(wanted[None, known, :3])
            own["points_pa_mm"] = float(pa_mpjpe_mm(*pair))


def _size(labels: Columns) -> BodySize:
    betas, shape, expression = (labels[name].shape[1] for name in ("betas", "flame_shape", "flame_expression"))
    return BodySize(num_betas=betas, num_flame_shape=shape, num_expression=expression)


class Figure(NamedTuple):
    """What an error comes to over some people; NaN without any."""

    mean: float
    median: float
    people: int


def figure_of(table: pa.Table, name: str) -> Figure:
    """An error over the people of a table who have it; `hand_pa_pve_mm` is a person's mean over hands."""
    sides = [f"{side}_{name}" for side in _SIDES] if name.startswith("hand_") else [name]
    values = np.stack([table[side].to_numpy(zero_copy_only=False).astype(float) for side in sides], 1)
    values = values[np.isfinite(values).any(1)]
    if not len(values):
        return Figure(np.nan, np.nan, 0)
    own = np.nanmean(values, 1)
    return Figure(float(own.mean()), float(np.median(own)), len(own))
