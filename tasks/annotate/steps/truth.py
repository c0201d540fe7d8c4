"""What the data set knows of people in 3D: observations of the refinement, and which labels it went into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.labels import Status, label_source_column
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.schema.truth_3d import Truth3d, truth_3d_of
from fitting.inputs import Observations
from fitting.points_3d import with_points
from model.body.assets import BodyAssets
from model.body.published_hands import flat_hands
from model.body.skeleton import KEYPOINT_JOINT, NUM_KEYPOINTS, NUM_MAIN_JOINTS, NUM_SMPLX_JOINTS
from tasks.annotate.steps.trust import trusted_of

_TURNS_OF_HEAD, _OF_FLAME = ("jaw_pose", "leye_pose", "reye_pose"), ("eyelids", "flame_shape", "flame_expression")
BODY, POINTS, RELATIVE, ESTIMATORS = "body in 3D", "points in 3D", "points relative to the root", "estimators"
"""Sources of labels; one of a body and points is both, joined by ` and `. Hands and face are named behind the body."""
_LEAST_POINTS = 2
"""That say something where they are known but for a shift."""


class Points3d(NamedTuple):
    """Points of P people in the frames of the cameras."""

    places_m: np.ndarray
    """(P, 133, 3)."""
    sigma_m: np.ndarray
    """(P, 133), inf for those not known; a point that is half sure has twice the sigma."""
    are_joints: np.ndarray
    """(P,) bool: they lie inside the body."""
    are_relative: np.ndarray
    """(P,) bool: they are known but for a shift."""


def knows_people(plan: Columns) -> bool:
    """Whether a plan has people in 3D."""
    return "truth_3d" in plan.table.column_names and bool(plan.has("truth_3d").any())


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownPeople:
    """P people, as far as a data set knows them in 3D."""

    truths: list[Truth3d | None]
    """(P,)."""
    world_to_camera: np.ndarray
    """(P, 3, 4) metres, NaN where the camera's place is not known."""
    trusted: np.ndarray
    """(P, 6) bool, in the order of ``TRUSTED_PARTS``."""
    own_body: BodyAssets | None = None
    """The body of the labels, where truth of SMPL-X is of the same; None for the open body."""

    @classmethod
    def of(
        cls,
        plan: Columns,
        sample_ids: Sequence[str] | np.ndarray,
        world_to_camera: np.ndarray | None,
        own_body: BodyAssets | None = None,
    ) -> KnownPeople:
        """Of rows, of which the plan need not have all."""
        row_of = {name: row for row, name in enumerate(plan["sample_id"])}
        has_truth, rows = plan.has("truth_3d"), [row_of.get(name, -1) for name in sample_ids]
        nowhere = np.full((len(rows), 3, 4), np.nan) if world_to_camera is None else world_to_camera
        truths = [
            truth_3d_of(plan.table.slice(row, 1).to_pylist()[0]) if row >= 0 and has_truth[row] else None
            for row in rows
        ]
        everywhere = np.concatenate([trusted_of(plan), np.ones((1, len(TRUSTED_PARTS)), bool)])
        return cls(truths=truths, world_to_camera=nowhere, trusted=everywhere[rows], own_body=own_body)

    def turn(self, person: int) -> np.ndarray | None:
        """(3, 4) from the frame of a person's 3D to the camera; None where nobody knows it."""
        truth = self.truths[person]
        if truth is None or truth.frame == "camera":
            return np.eye(3, 4)
        stated = self.world_to_camera[person]
        return stated if np.isfinite(stated).all() else None

    @property
    def has_points(self) -> np.ndarray:
        """(P,) bool: points are known along the axes of the camera."""
        return np.isfinite(self.points.sigma_m).sum(axis=1) > 0

    @property
    def has_body(self) -> np.ndarray:
        """(P,) bool: the pose of a body model is known."""
        return np.array(
            [
                truth is not None
                and {"global_orient", "body_pose"} <= truth.parameters.keys()
                and self.turn(person) is not None
                for person, truth in enumerate(self.truths)
            ],
            bool,
        )

    def hands(self, person: int) -> dict[str, np.ndarray]:
        """Turns (45,) from the flat hand by their names, of hands of a person whose body is known. Zeros are what files
        have where nobody looked."""
        truth = self.truths[person]
        if truth is None:
            return {}
        return {
            name: pose
            for name, pose in flat_hands(truth, self.own_body).items()
            if self._is_good(person, name.removesuffix("_pose")) and np.any(truth.parameters[name])
        }

    def head(self, person: int) -> dict[str, np.ndarray]:
        """Parameters of the head of a person whose body is known, by their names in ``Truth3d``: jaw and eyes; those of
        FLAME where the body of the labels has its space. Zeros are as of hands."""
        truth = self.truths[person]
        if truth is None or not self._is_good(person, "face"):
            return {}
        names = (*_TURNS_OF_HEAD, *(_OF_FLAME if self.own_body is not None else ()))
        known = {name: truth.parameters[name] for name in names if name in truth.parameters}
        return known if any(np.any(known[name]) for name in ("jaw_pose", "flame_expression") if name in known) else {}

    def _is_good(self, person: int, part: str) -> bool:
        truth = self.truths[person]
        assert truth is not None
        is_trusted = self.trusted[person, TRUSTED_PARTS.index(part)]  # pyright: ignore[reportArgumentType]
        return bool(is_trusted) and truth.part_valid[PART_NAMES.index(part)]  # pyright: ignore[reportArgumentType]

    @property
    def points(self) -> Points3d:
        """All that can be used of the points."""
        number = len(self.truths)
        places = np.zeros((number, NUM_KEYPOINTS, 3), np.float32)
        sigma = np.full((number, NUM_KEYPOINTS), np.inf, np.float32)
        are_joints, are_relative = np.zeros((2, number), bool)
        for person, truth in enumerate(self.truths):
            turn = self.turn(person)
            if truth is None or truth.keypoints_m is None or turn is None or not truth.points_turned:
                continue
            seen = truth.keypoints_m[:, 3] > 0
            if seen.sum() < (_LEAST_POINTS if truth.root_relative else 1):
                continue
            places[person] = truth.keypoints_m[:, :3] @ turn[:, :3].T + turn[:, 3]
            sigma[person, seen] = truth.sigma_m / truth.keypoints_m[seen, 3]
            are_joints[person] = truth.points_are == "joints"
            are_relative[person] = truth.root_relative
        return Points3d(places, sigma, are_joints, are_relative)

    def beside(self, observations: Observations) -> Observations:
        """Observations of the people with the points."""
        places, sigma, joints, relative = map(torch.from_numpy, self.points)
        joints = joints[:, None]
        if not bool(joints.all()):
            sigma_outside = sigma.masked_fill(joints, torch.inf)
            observations = with_points(observations, "wholebody", places, sigma_outside, relative)
        if bool(joints.any()):
            at = [(keypoint, joint) for keypoint, joint in KEYPOINT_JOINT.items() if joint < NUM_MAIN_JOINTS]
            keypoints, targets = torch.tensor(at).unbind(1)
            inside = places.new_zeros(len(places), NUM_SMPLX_JOINTS, 3)
            inside_sigma = torch.full_like(inside[..., 0], torch.inf)
            inside[:, targets] = places[:, keypoints]
            inside_sigma[:, targets] = sigma[:, keypoints].masked_fill(~joints, torch.inf)
            observations = with_points(observations, "smplx", inside, inside_sigma, relative)
        return observations

    @property
    def sources(self) -> list[str]:
        """(P,) what the label of each comes from."""
        points = np.where(self.points.are_relative, RELATIVE, POINTS)
        said = []
        for person, (body, known) in enumerate(zip(self.has_body, self.has_points, strict=True)):
            parts = [name.removesuffix("_pose").replace("_", " ") for name in self.hands(person)]
            parts = ["body", *parts, *["face"] * bool(self.head(person))] if body else []
            sources = [f"{', '.join(parts)} in 3D"] * bool(body) + [str(points[person])] * bool(known)
            said.append(" and ".join(sources) or ESTIMATORS)
        return said


def with_label_source(
    table: pa.Table, plan: Columns, world_to_camera: np.ndarray | None, own_body: BodyAssets | None = None
) -> pa.Table:
    """A table of labels with what they come from.

    Args:
        table: Labels of R rows.
        plan: Of the shard.
        world_to_camera: (R, 3, 4) as the data set states it, see ``KnownPeople``.
        own_body: Likewise.
    """
    labels, field = Columns(table), label_source_column()
    sources = KnownPeople.of(plan, labels["sample_id"], world_to_camera, own_body).sources
    has_label = labels["status"] != Status.FAILED
    said = [source if labelled else None for source, labelled in zip(sources, has_label, strict=True)]
    return table.set_column(table.schema.get_field_index(field.name), field, pa.array(said, field.type))
