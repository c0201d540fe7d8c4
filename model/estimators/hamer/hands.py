"""Hands estimator ``hamer``: HaMeR on both hands of a person, left hands in the mirror.

Needs one file, ``hamer.ckpt`` as upstream gives it out: the mean pose lies in it. Finger rotations are absolute
already, identity is the flat hand; the wrist's orientation is in the camera frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.skeleton import HANDS
from model.estimators.base import Array, HandsOutput, PersonBatch
from model.estimators.conversions import left_hand_from_mirrored
from model.estimators.crop_network import (
    CheckpointEstimator,
    CropNetwork,
    CropNetworkConfig,
    CropPlan,
    finite_rows,
    mean_score,
    towards_camera,
)
from model.estimators.published_error import FINGER_M, turn_rad
from model.estimators.refusals import NOT_FINITE
from model.estimators.registry import register
from model.estimators.regressor_files import HAMER, load_pose_regressor
from model.imaging.squares import PORTRAIT, Square, keypoint_box, square_of_box
from model.networks.pose_regressor import CROP_PX
from model.rotations import rotation_about_x

BOX_SCALE = 2.0
"""Factor on the keypoints' box before it is grown to 3 : 4 (rescale_factor of the demo)."""
JOINT_ERROR_M = 0.0077
"""Mean joint error on HO3Dv2 after alignment (HaMeR: PA-MPJPE 7.7 mm)."""
SIGMA_RAD = float(turn_rad(JOINT_ERROR_M, FINGER_M))
"""Standard deviation of a finger joint that was read."""
SIGMA_RELAXED_RAD = math.radians(25)
"""The same of a relaxed hand that nobody looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HamerConfig(CropNetworkConfig):
    """How hands are read."""

    min_score: float = 0.3
    """Score (0..1) that a hand keypoint must exceed to count; upstream asks 0.5 of its own keypoint network."""
    min_points: int = 4
    """Such keypoints below which there is no hand."""

    def __post_init__(self) -> None:
        CropNetworkConfig.__post_init__(self)
        if not 0 <= self.min_score <= 1 or not 2 <= self.min_points <= 21:
            raise ValueError(
                f"hamer: expected min_score in 0..1 and min_points in 2..21, got {self.min_score} and {self.min_points}"
            )


@register("hands", "hamer")
class HamerHands(CheckpointEstimator):
    """Hand poses from HaMeR; the mean pose where no hand is seen."""

    name = "hamer"
    licence = "code MIT; weights for research, made with MANO (non-commercial)"

    Options = HamerConfig

    def __init__(self, *, checkpoint_path: str, **options: Any) -> None:
        """Loads the network.

        Args:
            checkpoint_path: ``hamer.ckpt``.
            **options: Fields of ``HamerConfig``.

        Raises:
            ValueError: The file is absent or not HaMeR's, or an option is unknown or out of range.
        """
        self._config = HamerConfig(**options)
        network, sha256 = load_pose_regressor(checkpoint_path, HAMER)
        relaxed = network.head.mean_rotations()[1:].double()
        self._relaxed = torch.stack([left_hand_from_mirrored(relaxed), relaxed]).cpu().numpy()

        def read(crops: Tensor) -> dict[str, Tensor]:
            return {"rotations": network(crops).rotations}

        self._network = CropNetwork(network, read, crop_px=CROP_PX, antialias=True, config=self._config)
        self.info = self.info_of(sha256)

    def square(self, keypoints: Array, side: int) -> Square | Refusal:
        """Where a hand's crop lies, or what its keypoints lack.

        Args:
            keypoints: (133, 3) of a person.
            side: 0 left, 1 right.
        """
        box = keypoint_box(keypoints[HANDS[side]], self._config.min_score, self._config.min_points)
        if isinstance(box, str):
            return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, box)
        return square_of_box(box, BOX_SCALE, PORTRAIT)

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        """Estimates one row a person, left and right; a hand with too few keypoints stays relaxed and invalid."""
        num = len(batch)
        found = [[self.square(batch.keypoints[row], side) for side in (0, 1)] for row in range(num)]
        hands = [
            (row, side, square)
            for row, both in enumerate(found)
            for side, square in enumerate(both)
            if isinstance(square, Square)
        ]
        valid, score = np.zeros((num, 2), dtype=bool), np.zeros((num, 2))
        reasons = [[own if isinstance(own, Refusal) else None for own in both] for both in found]
        poses = np.tile(self._relaxed, (num, 1, 1, 1, 1))
        wrists = np.tile(rotation_about_x(math.pi).double().numpy(), (num, 2, 1, 1))
        if hands:
            rows, sides = np.array([hand[:2] for hand in hands]).T
            squares = [square for _, _, square in hands]
            rotations = self._rotations(batch, rows, sides, squares)
            finite = finite_rows({"rotations": rotations})
            at = rows[finite], sides[finite]
            valid[at] = True
            for row, side, good in zip(rows.tolist(), sides.tolist(), finite.tolist(), strict=True):
                reasons[row][side] = None if good else NOT_FINITE
            poses[at], wrists[at] = rotations[finite, 1:], rotations[finite, 0]
            scores = np.stack([batch.keypoints[:, points, 2] for points in HANDS], 1)
            score[at] = mean_score(scores[at])
        return HandsOutput(
            valid=valid,
            score=score,
            hand_pose=poses,
            wrist_orient=wrists,
            sigma_rad=np.where(valid, SIGMA_RAD, SIGMA_RELAXED_RAD),
            reasons=[(left, right) for left, right in reasons],
        )

    def _rotations(self, batch: PersonBatch, rows: Array, sides: Array, squares: list[Square]) -> Array:
        """Rotations (N, 16, 3, 3) of hands, of the photo as it is; the wrist in the camera frame."""
        plans = [
            CropPlan(rgb=batch.images[row], square=square, mirrored=bool(side == 0))
            for row, side, square in zip(rows.tolist(), sides.tolist(), squares, strict=True)
        ]
        rotations = self._network.run(plans)["rotations"].astype(np.float64)
        left = sides == 0
        rotations[left] = left_hand_from_mirrored(torch.from_numpy(rotations[left])).numpy()
        if self._config.view_ray:
            wrists = rotations[:, 0]
            rotations[:, 0] = towards_camera(wrists, squares, batch.focal_px[rows], batch.principal_px[rows])
        return rotations
