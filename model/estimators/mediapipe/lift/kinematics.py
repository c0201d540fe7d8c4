"""Inverse kinematics: 3D landmarks of one person to SMPL-X joint rotations, in closed form.

Frames: landmarks come in model axes (see ``so3.to_model_axes``). ``G`` holds global and ``L`` local rotations by joint
index; joint directions are met exactly, twists come from the hinges of elbows and knees as far as they bend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from model.body.skeleton import (
    ANKLES,
    COLLARS,
    ELBOWS,
    HEAD,
    HIPS,
    KNEES,
    NECK,
    PELVIS,
    SHOULDERS,
    SMPLX_LEFT_HAND,
    SMPLX_RIGHT_HAND,
    SPINE,
    WRISTS,
)
from model.estimators.base import Array
from model.estimators.mediapipe.landmarks import LEFT_ARM, LEFT_LEG, RIGHT_ARM, RIGHT_LEG
from model.estimators.mediapipe.lift.rest import SIDES, RestSkeleton
from model.estimators.mediapipe.lift.so3 import (
    CAMERA_FROM_MODEL,
    between_rad,
    clamped,
    exp,
    frame,
    kabsch,
    log,
    smoothstep,
    swing,
    turn_about,
    twist_rad,
    unit,
)

CHEST = SPINE[-1]
FIRST_FINGER = (SMPLX_LEFT_HAND.start, SMPLX_RIGHT_HAND.start)
"""First joint of the left and right hand; order index, middle, pinky, ring, thumb, three joints each."""
PALM_LANDMARKS = (0, 5, 9, 13, 17)
"""Hand landmarks: wrist and the knuckles of index, middle, ring and little finger."""
HEAD_LANDMARKS = (0, 2, 5, 7, 8, 9, 10)
"""Pose landmarks of the head: nose, eyes, ears, mouth corners."""

_DEGREE = math.pi / 180
MAX_SPINE_RAD = 50 * _DEGREE
MAX_HEAD_RAD = 75 * _DEGREE
MAX_ARM_TWIST_RAD = 100 * _DEGREE
MAX_LEG_TWIST_RAD = 60 * _DEGREE
BACK_BENT_RAD = 75 * _DEGREE
"""A knee that asks for more twist bends backwards: noise of the depth, ignored."""
MAX_ANKLE_RAD = 50 * _DEGREE


@dataclass(kw_only=True, slots=True)
class Pose:
    """Rotations found so far, by SMPL-X joint 0..21."""

    G: dict[int, Array] = field(default_factory=dict)
    """Global rotations, model axes."""
    L: list[Array] = field(default_factory=lambda: [np.eye(3) for _ in range(22)])
    """Local rotations."""

    def global_orient(self) -> Array:
        """(3, 3) orientation of the pelvis in the camera frame."""
        return CAMERA_FROM_MODEL @ self.L[PELVIS]

    def body_pose(self) -> Array:
        """(21, 3, 3) local rotations of joints 1..21."""
        return np.stack(self.L[1:])


def solve(
    rest: RestSkeleton,
    world: Array,
    visibility: Array,
    face: Array | None = None,
    hands: tuple[Array | None, Array | None] = (None, None),
) -> Pose:
    """Returns the pose that points every limb as the landmarks do.

    Args:
        rest: Rest skeleton.
        world: (33, 3) pose landmarks, model axes, any origin and scale.
        visibility: (33,).
        face: (51, 3) face landmarks, model axes, or None.
        hands: (21, 3) hand landmarks, model axes, or None; left and right.
    """
    pose = Pose()
    solve_trunk(pose, rest, world, visibility)
    solve_head(pose, rest, world, face)
    for side in (0, 1):
        solve_arm(pose, rest, world, side, hands[side])
        solve_leg(pose, rest, world, visibility, side)
    return pose


def solve_trunk(pose: Pose, rest: RestSkeleton, world: Array, visibility: Array) -> None:
    """Pelvis from the hip line and the trunk; the turn to the shoulder line is split over the spine."""
    J = rest.joints
    hips, shoulders = world[23] - world[24], world[11] - world[12]
    up = (world[11] + world[12] - world[23] - world[24]) / 2
    rest_up = (J[16] + J[17] - J[1] - J[2]) / 2
    seen = float(min(visibility[23], visibility[24]))
    if seen < 0.6:
        hips = unit(hips) * (0.25 + 0.75 * seen) + unit(shoulders) * (1 - 0.75 * seen)
    pelvis = frame(hips, up) @ frame(J[1] - J[2], rest_up).T
    chest = frame(shoulders, up) @ frame(J[16] - J[17], rest_up).T
    bend = log(clamped(pelvis.T @ chest, MAX_SPINE_RAD))
    pose.G[PELVIS] = pose.L[PELVIS] = pelvis
    above = pelvis
    for joint in SPINE:
        pose.L[joint] = exp(bend / 3)
        pose.G[joint] = above = above @ pose.L[joint]
    for joint in COLLARS:
        pose.G[joint] = pose.G[CHEST]


def head_orientation(rest: RestSkeleton, world: Array, face: Array | None) -> Array:
    """Orientation (3, 3) of the head in model axes: 51 face points, or the head points of the pose."""
    if face is not None:
        return kabsch(rest.face, face)
    points = rest.points
    corners = (rest.face[54 - 17], rest.face[48 - 17])
    named = [points[name] for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    return kabsch(np.stack([*named, *corners]), world[list(HEAD_LANDMARKS)])


def solve_head(pose: Pose, rest: RestSkeleton, world: Array, face: Array | None) -> None:
    """Splits the head's turn against the chest over neck and head, 40 to 60."""
    relative = pose.G[CHEST].T @ head_orientation(rest, world, face)
    turn = log(clamped(relative, MAX_HEAD_RAD))
    pose.L[NECK], pose.L[HEAD] = exp(0.4 * turn), exp(0.6 * turn)
    pose.G[NECK] = pose.G[CHEST] @ pose.L[NECK]
    pose.G[HEAD] = pose.G[NECK] @ pose.L[HEAD]


def palm_orientation(rest: RestSkeleton, hand: Array, side: int) -> Array:
    """Orientation (3, 3) of the wrist in model axes from (21, 3) hand landmarks."""
    first = FIRST_FINGER[side]
    return kabsch(rest.joints[[WRISTS[side], first, first + 3, first + 9, first + 6]], hand[list(PALM_LANDMARKS)])


def _palm_from_pose(rest: RestSkeleton, world: Array, side: int) -> Array:
    """Rougher orientation of the wrist: the pose has only the knuckles of index and little finger."""
    _, _, wrist, little, index = (LEFT_ARM, RIGHT_ARM)[side]
    first = FIRST_FINGER[side]
    J = rest.joints
    rest_along = (J[first] + J[first + 6]) / 2 - J[WRISTS[side]]
    along = (world[little] + world[index]) / 2 - world[wrist]
    return frame(world[index] - world[little], along) @ frame(J[first] - J[first + 6], rest_along).T


def solve_arm(pose: Pose, rest: RestSkeleton, world: Array, side: int, hand: Array | None) -> None:
    """Shoulder by swing and by the hinge of the bent elbow; wrist from the palm, half of its twist to the elbow."""
    shoulder, elbow, wrist = SHOULDERS[side], ELBOWS[side], WRISTS[side]
    a, b, c, _, _ = (LEFT_ARM, RIGHT_ARM)[side]
    J = rest.joints
    upper, fore = world[b] - world[a], world[c] - world[b]
    rest_upper, rest_fore = J[elbow] - J[shoulder], J[wrist] - J[elbow]
    rest_hinge = np.array([0.0, -1.0 if side == 0 else 1.0, 0.0])

    parent = pose.G[COLLARS[side]]
    pointed = swing(parent @ rest_upper, upper) @ parent
    bend = between_rad(upper, fore)
    twist = turn_about(upper, pointed @ rest_hinge, np.cross(unit(upper), unit(fore)))
    twist = float(np.clip(twist, -MAX_ARM_TWIST_RAD, MAX_ARM_TWIST_RAD))
    twist *= smoothstep(bend, 10 * _DEGREE, 35 * _DEGREE)
    pose.G[shoulder] = exp(unit(upper) * twist) @ pointed
    pose.L[shoulder] = parent.T @ pose.G[shoulder]
    pose.L[elbow] = swing(rest_fore, pose.G[shoulder].T @ fore)
    pose.G[elbow] = pose.G[shoulder] @ pose.L[elbow]

    palm = _palm_from_pose(rest, world, side) if hand is None else palm_orientation(rest, hand, side)
    twist = twist_rad(pose.G[elbow].T @ palm, rest_fore) * (0.6 if hand is None else 1.0)
    pose.L[elbow] = pose.L[elbow] @ exp(unit(rest_fore) * float(np.clip(0.5 * twist, -0.75, 0.75)))
    pose.G[elbow] = pose.G[shoulder] @ pose.L[elbow]
    relative = pose.G[elbow].T @ palm
    if hand is None:
        pose.L[wrist] = clamped(exp(0.5 * log(relative)), 40 * _DEGREE)
    else:
        pose.L[wrist] = clamped(relative, 85 * _DEGREE)
    pose.G[wrist] = pose.G[elbow] @ pose.L[wrist]


def solve_leg(pose: Pose, rest: RestSkeleton, world: Array, visibility: Array, side: int) -> None:
    """Hip by swing, twisted by the hinge of the bent knee or by the direction of the foot."""
    hip, knee, ankle = HIPS[side], KNEES[side], ANKLES[side]
    a, b, c, heel, toe = (LEFT_LEG, RIGHT_LEG)[side]
    J = rest.joints
    thigh, shin, foot = world[b] - world[a], world[c] - world[b], world[toe] - world[heel]
    rest_foot = rest.points[f"{SIDES[side]}_big_toe"] - rest.points[f"{SIDES[side]}_heel"]

    parent = pose.G[PELVIS]
    pointed = swing(parent @ (J[knee] - J[hip]), thigh) @ parent
    hinge = pointed @ np.array([1.0, 0.0, 0.0])
    bend = between_rad(thigh, shin)
    by_knee = turn_about(thigh, hinge, np.cross(unit(thigh), unit(shin)))
    by_foot = turn_about(thigh, hinge, np.cross(unit(foot), unit(shin)))
    knee_weight = smoothstep(bend, 15 * _DEGREE, 45 * _DEGREE)
    if abs(by_knee) > BACK_BENT_RAD:
        knee_weight *= smoothstep(110 * _DEGREE - abs(by_knee), 0.0, 35 * _DEGREE)
    foot_seen = visibility[toe] > 0.4 and abs(by_foot) < 100 * _DEGREE
    foot_weight = 0.6 * (1 - knee_weight) * float(foot_seen)
    twist = knee_weight * float(np.clip(by_knee, -MAX_LEG_TWIST_RAD, MAX_LEG_TWIST_RAD))
    twist += foot_weight * float(np.clip(by_foot, -45 * _DEGREE, 45 * _DEGREE))
    pose.G[hip] = exp(unit(thigh) * twist) @ pointed
    pose.L[hip] = parent.T @ pose.G[hip]
    pose.L[knee] = swing(J[ankle] - J[knee], pose.G[hip].T @ shin)
    pose.G[knee] = pose.G[hip] @ pose.L[knee]
    if visibility[toe] > 0.3:
        pose.L[ankle] = clamped(swing(rest_foot, pose.G[knee].T @ foot), MAX_ANKLE_RAD)
    pose.G[ankle] = pose.G[knee] @ pose.L[ankle]
