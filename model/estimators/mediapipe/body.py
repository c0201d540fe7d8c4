"""Body estimator: inverse kinematics on the pose network's 3D landmarks."""

from __future__ import annotations

import math

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.skeleton import ANKLES, FOOT_JOINTS, HEAD, HIPS, KNEES, NECK, WRISTS
from model.estimators.base import Array, BodyOutput, PersonBatch
from model.estimators.mediapipe.landmarks import FACE_OF_68, POSE_OF_BODY
from model.estimators.mediapipe.lift.kinematics import palm_orientation, solve
from model.estimators.mediapipe.lift.so3 import CAMERA_FROM_MODEL, to_model_axes, view_ray
from model.estimators.mediapipe.part import MediapipePart
from model.estimators.mediapipe.search.person import face_accepted
from model.estimators.mediapipe.uncertainty import (
    BASE_SHARE,
    HIDDEN_SHARE,
    SPREAD_FACTOR,
    person_size_px,
)
from model.estimators.registry import register
from model.imaging.boxes import score_from_sigma

INNER_FACE_OF_51 = FACE_OF_68[17:]
"""Face-mesh landmark of each inner face keypoint."""

NO_BODY = Refusal(ErrorCode.BODY_NOT_FOUND, "no pose was found, at most a face")
SIGMA_DEG = np.array(
    [24, 24, 24, 12, 28, 28, 12, 28, 28, 12, 20, 20, 16, 6, 6, 16, 14, 14, 14, 14, 18, 18], dtype=float
)
"""Standard deviation of the root and joints 1..21 of the inverse kinematics."""
SIGMA_UNSEEN_DEG = 15.0
"""The same for a leg joint that nothing shows."""
LEG_JOINTS = tuple(zip(HIPS, KNEES, ANKLES, FOOT_JOINTS, strict=True))
"""Hip, knee, ankle and foot of the left and the right leg."""
SIGMA_HEAD_DEG, SIGMA_WRIST_DEG = 12.0, 14.0
"""The same for neck and head with a face, and for a wrist with its hand."""


def face_points(evidence: dict[str, Array], person: int, focal_px: float, principal_px: Array) -> Array:
    """Returns the (51, 3) inner face landmarks of a person in model axes."""
    mesh = evidence["face_px"][person].astype(float)
    x, y = mesh[:, :2].mean(0)
    return to_model_axes(mesh[INNER_FACE_OF_51], view_ray(float(x), float(y), focal_px, principal_px))


def hand_points(evidence: dict[str, Array], person: int, side: int, focal_px: float, principal_px: Array) -> Array:
    """Returns the (21, 3) landmarks of a person's hand in model axes."""
    x, y = evidence["hand_px"][person, side, :, :2].astype(float).mean(0)
    world = evidence["hand_world_m"][person, side].astype(float)
    return to_model_axes(world, view_ray(float(x), float(y), focal_px, principal_px))


def straighten_unseen_legs(body_pose: Array, sigma_rad: Array, seen: Array) -> None:
    """Gives legs that the photo does not show the rest pose instead of the network's guess, in place.

    Args:
        body_pose: (21, 3, 3) of one person.
        sigma_rad: (22,) of the root and the joints.
        seen: (133,) bool, keypoints that are seen.
    """
    for (hip, knee, ankle, foot), (knee_point, ankle_point) in zip(LEG_JOINTS, ((13, 15), (14, 16)), strict=True):
        if seen[ankle_point]:
            continue
        unseen = (knee, ankle, foot) if seen[knee_point] else (hip, knee, ankle, foot)
        for joint in unseen:
            body_pose[joint - 1] = np.eye(3)
            sigma_rad[joint] = math.radians(SIGMA_UNSEEN_DEG)


def body_score(evidence: dict[str, Array], boxes_xyxy: Array) -> Array:
    """Mean probability (P,) that a body point is right within 5 % of the box; 0 without a pose."""
    size = person_size_px(boxes_xyxy, evidence["pose_region"][:, 2])[:, None]
    body = POSE_OF_BODY[:17]
    spread, visibility = evidence["pose_spread_px"][:, body], evidence["pose_px"][:, body, 3]
    variance = (BASE_SHARE * size) ** 2 + (SPREAD_FACTOR * spread) ** 2 + (HIDDEN_SHARE * size * (1 - visibility)) ** 2
    return np.nan_to_num(score_from_sigma(np.sqrt(variance), size).mean(1))


@register("body", "mediapipe")
class MediapipeBody(MediapipePart):
    """SMPL-X body pose from MediaPipe; betas stay at the mean shape."""

    def estimate(self, batch: PersonBatch) -> BodyOutput:
        """Estimates one row a person; a person without a pose stays at rest and invalid, unless it carries a hand."""
        num = len(batch)
        evidence = self.evidence(batch, spread=True)
        found = np.array([bool(np.isfinite(row).all()) for row in evidence["pose_world_m"]], dtype=bool)
        face_ok, hand_ok = face_accepted(evidence), evidence["hand_ok"] > 0.5
        orient = np.tile(CAMERA_FROM_MODEL, (num, 1, 1))
        joints = np.tile(np.eye(3), (num, 21, 1, 1))
        sigma = np.tile(np.radians(SIGMA_DEG), (num, 1))
        for i in np.flatnonzero(found).tolist():
            focal, principal = float(batch.focal_px[i]), batch.principal_px[i]
            x, y = (float(v) for v in evidence["pose_region"][i, :2])
            left, right = (hand_points(evidence, i, s, focal, principal) if hand_ok[i, s] else None for s in (0, 1))
            pose = solve(
                self._rest,
                to_model_axes(evidence["pose_world_m"][i].astype(float), view_ray(x, y, focal, principal)),
                evidence["pose_px"][i, :, 3],
                face_points(evidence, i, focal, principal) if face_ok[i] else None,
                (left, right),
            )
            orient[i], joints[i] = pose.global_orient(), pose.body_pose()
            straighten_unseen_legs(joints[i], sigma[i], np.isfinite(batch.sigma_px[i]))
            if face_ok[i]:
                sigma[i, [NECK, HEAD]] = math.radians(SIGMA_HEAD_DEG)
            for side in (0, 1):
                if hand_ok[i, side]:
                    sigma[i, WRISTS[side]] = math.radians(SIGMA_WRIST_DEG)
        # Of a person of whom only a hand is known, the rest pose carries it: turned so that its wrist is the hand's.
        carried = ~found & ~face_ok & hand_ok.any(1)
        for i in np.flatnonzero(carried).tolist():
            side = int(np.argmax(hand_ok[i]))
            hand = hand_points(evidence, i, side, float(batch.focal_px[i]), batch.principal_px[i])
            orient[i] = CAMERA_FROM_MODEL @ palm_orientation(self._rest, hand, side)
        valid = found | carried
        return BodyOutput(
            valid=valid,
            score=np.where(found, body_score(evidence, batch.boxes_xyxy), 0.0),
            global_orient=orient,
            body_pose=joints,
            betas=np.zeros((num, 10)),
            sigma_rad=sigma,
            reasons=[None if ok else NO_BODY for ok in valid],
        )
