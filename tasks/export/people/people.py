"""People with a label, as the formats of people need them: parameters, points in the camera and in the photo, trust.

Legend: N people, 144 joints of SMPL-X: 55 of the skeleton, then points of the skin.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.keypoint_sets import SMPLX_144
from datasets_manifest.schema.people import found_rows
from fitting.delta_theta import rest_pelvis
from model.body import skeleton
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from tasks.lenses import photo_points
from tasks.posing import NUM_SMPLX_POINTS, known_values, smplx_points

NUM_JOINTS = NUM_SMPLX_POINTS
_NEEDED = ("bbox_xyxy", "keypoints_2d", "focal_px", "principal_px", "transl_m", "global_orient", "body_pose")


def usable_rows(rows: Columns) -> np.ndarray:
    """(R,) which rows are people who were found, with a box, points, a camera and a pose."""
    return found_rows(rows.table) & np.logical_and.reduce([rows.has(name) for name in _NEEDED])


class PointBody:
    """Poses the points of people, not their mesh."""

    def __init__(self, ehm: EHMs) -> None:
        """Takes the body model the labels were made with."""
        self.ehm = ehm
        self.pelvis_m = rest_pelvis(ehm.assets.smplx, ehm.size.num_betas)
        """(3, 1 + S) rest pelvis: at zero shape, then per unit of each coefficient."""
        self._body = KeypointBody(ehm.assets, ehm.size)

    def points_m(self, people: EhmParameters) -> np.ndarray:
        """(N, 144, 3) camera frame."""
        with torch.inference_mode():
            posed = self._body(people.resized(self._body.size))
        return smplx_points(posed.joints, posed.keypoints)


class People:
    """N people of one data set and split."""

    def __init__(self, columns: Columns, body: PointBody) -> None:
        """Takes usable rows and their body."""
        self.columns, self.body = columns, body

    def __len__(self) -> int:
        """N."""
        return self.columns.num_rows

    @cached_property
    def parameters(self) -> EhmParameters:
        """Of all; what is not known is neutral."""
        return EhmParameters.from_columns(known_values(self.columns))

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Parameters (N, n) by column, rotations as axis-angle."""
        return {name: value.numpy() for name, value in self.parameters.columns().items()}

    @cached_property
    def transl_m(self) -> np.ndarray:
        """(N, 3) what is added to SMPL-X, whose rest pelvis is not at its origin."""
        offset, per_beta = self.body.pelvis_m[:, 0], self.body.pelvis_m[:, 1:]
        betas = self.values["betas"].astype(np.float64)
        return self.values["transl_m"] - offset - betas @ per_beta[:, : betas.shape[1]].T

    @cached_property
    def points_m(self) -> np.ndarray:
        """(N, 144, 3) in the camera frame."""
        return self.body.points_m(self.parameters)

    @cached_property
    def points_px(self) -> np.ndarray:
        """(N, 144, 2) in the photos, through lenses where they have one."""
        return photo_points(self.columns, self.points_m)

    @cached_property
    def part_valid(self) -> np.ndarray:
        """(N, 4) in the order of ``PART_NAMES``."""
        return np.column_stack([self.columns[f"{part}_valid"] for part in PART_NAMES])

    @cached_property
    def limb_valid(self) -> np.ndarray:
        """(N, 6) in the order of ``BODY_GROUP_NAMES``; where a label does not say, that of the body."""
        body = self.part_valid[:, :1]
        return body & np.where(self.columns.has("body_group_valid")[:, None], self.columns["body_group_valid"], True)

    @cached_property
    def keypoint_valid(self) -> np.ndarray:
        """(N, 133) which keypoints are of a part and limb that may supervise."""
        found = np.empty((len(self), skeleton.NUM_KEYPOINTS), bool)
        found[:, skeleton.BODY_AND_FEET] = self.limb_valid[:, skeleton.GROUP_OF_KEYPOINT]
        for part, own in enumerate(skeleton.HANDS_AND_FACE, 1):
            found[:, own] = self.part_valid[:, part : part + 1]
        return found

    @cached_property
    def joint_valid(self) -> np.ndarray:
        """(N, 144) the same of SMPL-X's joints; wrists are the body's."""
        found = np.empty((len(self), NUM_JOINTS), bool)
        found[:, SMPLX_144] = self.keypoint_valid
        found[:, : skeleton.NUM_MAIN_JOINTS] = self.limb_valid[:, skeleton.GROUP_OF_JOINT]
        face = PART_NAMES.index("face")
        found[:, skeleton.JAW : skeleton.RIGHT_EYE + 1] = self.part_valid[:, face : face + 1]
        return found

    @cached_property
    def keypoints(self) -> np.ndarray:
        """(N, 133, 3) x, y, score of the points that were seen; zeros where they may not supervise."""
        seen = self.columns["keypoints_2d"]
        return np.where((self.keypoint_valid & (seen[..., 2] > 0))[..., None], seen, 0).astype(np.float32)

    def boxes_xywh(self, margin: float = 1.0) -> np.ndarray:
        """(N, 4) the people's boxes, about their centres larger by a factor."""
        low, high = np.split(self.columns["bbox_xyxy"].astype(np.float64), 2, axis=1)
        size = margin * (high - low)
        return np.concatenate([(low + high - size) / 2, size], axis=1)


def extent_xywh(points: np.ndarray) -> np.ndarray:
    """(N, K, 3) x, y, score -> (N, 4) extent of the points with a score above 0; zeros where there are none."""
    has = points[..., 2:] > 0
    low = np.where(has, points[..., :2], np.inf).min(1)
    high = np.where(has, points[..., :2], -np.inf).max(1)
    return np.where(has.any(1), np.concatenate([low, high - low], axis=1), 0.0)
