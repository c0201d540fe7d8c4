"""Hands estimator: wrist from the palm, fingers by the directions of their bones."""

from __future__ import annotations

import math

import numpy as np

from model.estimators.base import Array, HandsOutput, PersonBatch
from model.estimators.mediapipe.body import hand_points
from model.estimators.mediapipe.lift.kinematics import FIRST_FINGER, palm_orientation
from model.estimators.mediapipe.lift.rest import SIDES, RestSkeleton
from model.estimators.mediapipe.lift.so3 import CAMERA_FROM_MODEL, clamped, exp, swing
from model.estimators.mediapipe.part import MediapipePart
from model.estimators.mediapipe.search.person import hand_details
from model.estimators.refusals import refused
from model.estimators.registry import register

FINGER_LANDMARKS = {
    "index": (0, (5, 6, 7, 8)),
    "middle": (3, (9, 10, 11, 12)),
    "pinky": (6, (17, 18, 19, 20)),
    "ring": (9, (13, 14, 15, 16)),
    "thumb": (12, (1, 2, 3, 4)),
}
"""Finger: its first joint among the hand's 15, and its landmarks from knuckle to tip."""
MAX_FINGER_RAD = math.radians(110)
SIGMA_RAD, SIGMA_RELAXED_RAD = math.radians(12), math.radians(25)
"""Standard deviation of a finger joint that was read, and of a relaxed hand's."""


def solve_fingers(rest: RestSkeleton, hand: Array, wrist: Array, side: int) -> Array:
    """Returns the (15, 3, 3) local rotations that point every finger bone as seen.

    Args:
        rest: Rest skeleton.
        hand: (21, 3) landmarks, model axes.
        wrist: (3, 3) orientation of the wrist, model axes.
        side: 0 left, 1 right.
    """
    out = np.tile(np.eye(3), (15, 1, 1))
    base = FIRST_FINGER[side]
    for finger, (first, landmarks) in FINGER_LANDMARKS.items():
        tip = rest.points[f"{SIDES[side]}_{finger}"]
        bones = np.diff([*rest.joints[base + first : base + first + 3], tip], axis=0)
        parent = wrist
        for k in range(3):
            seen = hand[landmarks[k + 1]] - hand[landmarks[k]]
            out[first + k] = clamped(swing(bones[k], parent.T @ seen), MAX_FINGER_RAD)
            parent = parent @ out[first + k]
    return out


def relaxed_hands(rest: RestSkeleton) -> Array:
    """Returns (2, 15, 3, 3) rotations of relaxed hands."""
    return np.stack([np.stack([exp(v) for v in hand]) for hand in rest.hands_mean])


@register("hands", "mediapipe")
class MediapipeHands(MediapipePart):
    """SMPL-X hand poses from MediaPipe's hand landmarks; relaxed where no hand was accepted."""

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        """Estimates one row a person, left and right."""
        num = len(batch)
        evidence = self.evidence(batch, hands=True)
        valid = evidence["hand_ok"] > 0.5
        poses = np.tile(relaxed_hands(self._rest), (num, 1, 1, 1, 1))
        wrists = np.tile(CAMERA_FROM_MODEL, (num, 2, 1, 1))
        for i, side in np.argwhere(valid).tolist():
            points = hand_points(evidence, i, side, float(batch.focal_px[i]), batch.principal_px[i])
            wrist = palm_orientation(self._rest, points, side)
            poses[i, side] = solve_fingers(self._rest, points, wrist, side)
            wrists[i, side] = CAMERA_FROM_MODEL @ wrist
        return HandsOutput(
            valid=valid,
            score=np.where(valid, np.nan_to_num(evidence["hand_quality"]), 0.0),
            hand_pose=poses,
            wrist_orient=wrists,
            sigma_rad=np.where(valid, SIGMA_RAD, SIGMA_RELAXED_RAD),
            reasons=[(refused(left), refused(right)) for left, right in hand_details(evidence, self._hands)],
        )
