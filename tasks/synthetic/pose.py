"""Plausible people, drawn at random: pose, hands, face, shape and where they look.

Rotations are axis-angle in the body's rest frame (T-pose, y up, z forward, +x the person's left), SMPL-X joint order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from model.body.joint_limits import JOINT_LIMITS_RAD
from model.body.skeleton import SMPLX_JOINT_NAMES, SMPLX_PARENTS

FACING_CAMERA = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))
"""Root rotation of an upright person who looks into the camera (camera frame: y down, z forward)."""

CROPS = ("full", "upper", "head", "left_hand", "right_hand", "face")
"""How much of the person the camera shows."""

CROP_SHARES = (0.65, 0.22, 0.13, 0.0, 0.0, 0.0)
"""Share of people with each of CROPS."""

CHILD_SHARE = 0.12
"""Share of people who are children."""

YAW_SHARE = {"head": 0.6, "left_hand": 0.5, "right_hand": 0.5, "face": 0.35}
"""How much of the turn away from the camera is left in a close-up: from behind, it would show hair and backs only."""

SHAPE = ("betas", "flame_shape", "head_scale")
"""What of a person's parameters is the same in all their frames."""

MAX_TRIES = 25
"""Poses are drawn again, at most so often, while limbs run into each other."""

_INDEX = {name: k for k, name in enumerate(SMPLX_JOINT_NAMES)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledPerson:
    """One random person."""

    parameters: Mapping[str, np.ndarray]
    """Label column -> its numbers, float32, without a place; hands absolute: a flat hand is 0."""
    is_child: bool
    """Small body, large head."""
    crop: str
    """One of CROPS."""


def sample_person(
    rng: np.random.Generator,
    joints_m: Mapping[str, np.ndarray],
    crop_shares: Sequence[float] = CROP_SHARES,
    child_share: float = CHILD_SHARE,
) -> SampledPerson:
    """Draws a person; ``joints_m`` are the rest joints of the body (name -> (3,) metres), ``crop_shares`` as CROPS."""
    crop = str(rng.choice(CROPS, p=list(crop_shares)))
    is_child = bool(rng.random() < child_share)
    yaw = _sample_yaw(rng)
    yaw *= YAW_SHARE.get(crop, 1.0)
    tilt = Rotation.from_rotvec(rng.normal(0.0, 0.08, 3))
    pitch = Rotation.from_rotvec([rng.normal(0.05, 0.12), 0.0, 0.0])  # camera a little above or below
    orient = pitch * FACING_CAMERA * Rotation.from_rotvec([0.0, yaw, 0.0]) * tilt
    betas = rng.normal(0.0, 0.8, 10)
    if is_child:
        betas[0] = rng.uniform(-3.2, -2.0)
        betas[1:] *= 0.5
    look = rng.normal(0.0, [0.08, 0.15, 0.0], 3)
    values = {
        "global_orient": orient.as_rotvec(),
        "body_pose": sample_body_pose(rng, joints_m),
        "left_hand_pose": sample_hand_pose(rng, joints_m, "left"),
        "right_hand_pose": sample_hand_pose(rng, joints_m, "right"),
        "jaw_pose": [rng.uniform(0.0, 0.3) * (rng.random() < 0.6), rng.normal(0, 0.02), rng.normal(0, 0.01)],
        "eye_pose": look + rng.normal(0.0, 0.01, (2, 3)),
        "eyelids": np.ones(2) if rng.random() < 0.08 else rng.uniform(0.0, 0.25) + rng.uniform(0.0, 0.05, 2),
        "betas": betas,
        "flame_shape": rng.normal(0.0, 0.7, 10),
        "flame_expression": rng.normal(0.0, 0.6, 10),
        "head_scale": _sample_head_scale(rng, is_child),
    }
    parameters = {name: np.asarray(value, np.float32) for name, value in values.items()}
    return SampledPerson(parameters=parameters, is_child=is_child, crop=crop)


def _sample_yaw(rng: np.random.Generator) -> float:
    """Radians about the body's vertical axis: half towards the camera, the rest sideways or from behind."""
    side = rng.choice([-1.0, 1.0])
    low, high = ((0, 60), (60, 120), (120, 180))[rng.choice(3, p=[0.55, 0.22, 0.23])]
    return float(side * np.radians(rng.uniform(low, high)))


def _sample_head_scale(rng: np.random.Generator, is_child: bool) -> np.ndarray:
    """(3,) within 0.8..1.3, nearly the same along the three axes."""
    if is_child:
        size = rng.uniform(1.08, 1.25)
    elif rng.random() < 0.3:
        size = rng.uniform(0.83, 1.25)
    else:
        size = rng.normal(1.0, 0.05)
    return np.clip(size * np.exp(rng.normal(0.0, 0.025, 3)), 0.8, 1.3)


def sample_body_pose(rng: np.random.Generator, joints_m: Mapping[str, np.ndarray]) -> np.ndarray:
    """(21, 3) standing, walking, seated or reaching; drawn again while limbs collide, the best of all tries is kept."""
    best, best_overlap = np.zeros((21, 3)), np.inf
    for _ in range(MAX_TRIES):
        pose = _draw_body_pose(rng)
        overlap = limb_overlap_m(pose, joints_m)
        if overlap < best_overlap:
            best, best_overlap = pose, overlap
        if overlap == 0.0:
            break
    return best


def _draw_body_pose(rng: np.random.Generator) -> np.ndarray:
    pose = rng.normal(0.0, 0.1, (21, 3))

    def add(name: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        pose[_INDEX[name] - 1] += (x, y, z)

    for name in ("left_knee", "right_knee", "left_foot", "right_foot", "left_collar", "right_collar"):
        pose[_INDEX[name] - 1] *= 0.4
    legs = rng.choice(["stand", "stand", "walk", "seated", "free"])
    lean = abs(rng.normal(0, 0.12))
    add("spine1", x=lean)
    add("neck", *rng.normal(0, [0.1, 0.25, 0.08]))
    add("head", *rng.normal(0, [0.1, 0.2, 0.08]))
    stride = rng.uniform(0.2, 0.6) * rng.choice([-1, 1])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        if legs == "walk":
            add(f"{side}_hip", x=-sign * stride)
            add(f"{side}_knee", x=abs(rng.normal(0, 0.3)))
        elif legs == "seated":
            add(f"{side}_hip", x=rng.normal(-1.45, 0.12), z=sign * abs(rng.normal(0.08, 0.1)))
            add(f"{side}_knee", x=rng.normal(1.45, 0.2))
        elif legs == "free":
            add(f"{side}_hip", x=-abs(rng.normal(0, 0.7)), z=sign * abs(rng.normal(0.05, 0.2)))
            add(f"{side}_knee", x=abs(rng.normal(0, 0.8)))
        else:
            add(f"{side}_hip", x=-abs(rng.normal(0, 0.1)), z=sign * abs(rng.normal(0.03, 0.06)))
            add(f"{side}_knee", x=abs(rng.normal(0, 0.15)))
        arm = rng.choice(["down", "down", "bent", "out", "raised"])
        drop = {"down": (1.15, 0.15), "bent": (1.0, 0.2), "out": (0.4, 0.35), "raised": (-0.7, 0.4)}[arm]
        add(f"{side}_shoulder", x=rng.normal(0, 0.25), y=-sign * rng.normal(0.15, 0.3), z=-sign * rng.normal(*drop))
        bend = {"down": rng.uniform(0.05, 0.7), "bent": rng.uniform(0.8, 2.1)}.get(str(arm), rng.uniform(0.0, 1.6))
        add(f"{side}_elbow", y=-sign * bend)
        add(f"{side}_wrist", *rng.normal(0, [0.3, 0.15, 0.2]))
    return np.clip(pose, JOINT_LIMITS_RAD[..., 0], JOINT_LIMITS_RAD[..., 1])


def posed_joints(body_pose: np.ndarray, joints_m: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joints of the body, flat hands, root at rest: forward kinematics of the rest joints, name -> (3,) metres."""
    local = np.concatenate([np.zeros((1, 3)), body_pose, np.zeros((len(SMPLX_PARENTS) - 22, 3))])
    rotations = Rotation.from_rotvec(local).as_matrix()
    world: list[np.ndarray] = []
    found: dict[str, np.ndarray] = {}
    for k, (name, parent) in enumerate(zip(SMPLX_JOINT_NAMES, SMPLX_PARENTS, strict=True)):
        if parent < 0:
            world.append(rotations[k])
            found[name] = joints_m[name]
            continue
        above = SMPLX_JOINT_NAMES[parent]
        world.append(world[parent] @ rotations[k])
        found[name] = found[above] + world[parent] @ (joints_m[name] - joints_m[above])
    return found


def limb_overlap_m(body_pose: np.ndarray, joints_m: Mapping[str, np.ndarray]) -> float:
    """How deep arms, hands and legs run into each other or into the trunk, summed, metres; 0 = they do not."""
    at = posed_joints(body_pose, joints_m)
    trunk = (at["pelvis"], at["spine3"])
    total = 0.0
    for side, other in (("left", "right"), ("right", "left")):
        hand = at[f"{side}_wrist"] + 1.6 * (at[f"{side}_middle1"] - at[f"{side}_wrist"])
        forearm = 0.5 * (at[f"{side}_elbow"] + at[f"{side}_wrist"])
        for point, room in ((at[f"{side}_elbow"], 0.15), (forearm, 0.16), (at[f"{side}_wrist"], 0.17), (hand, 0.16)):
            total += max(0.0, room - _distance(point, *trunk))
            total += max(0.0, 0.17 - np.linalg.norm(point - at["head"] - (0, 0.06, 0)))
        for point in (at[f"{side}_wrist"], hand):
            for leg in (side, other):
                total += max(0.0, 0.13 - _distance(point, at[f"{leg}_hip"], at[f"{leg}_knee"]))
            total += max(0.0, 0.12 - _distance(point, at[f"{other}_elbow"], at[f"{other}_wrist"]))
    for name, room in (("knee", 0.14), ("ankle", 0.13)):
        total += max(0.0, room - float(np.linalg.norm(at[f"left_{name}"] - at[f"right_{name}"])))
        total += max(0.0, 0.1 - (at[f"left_{name}"] - at[f"right_{name}"])[0])  # no crossed legs
    return float(total)


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = end - start
    share = np.clip((point - start) @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
    return float(np.linalg.norm(point - start - share * along))


def finger_axes(joints_m: Mapping[str, np.ndarray], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit axes (15, 3) that bend and (15, 3) that spread the joints of one hand, rest frame, palm down in T-pose."""
    bend, spread = np.zeros((15, 3)), np.zeros((15, 3))
    first = _INDEX[f"{side}_index1"]
    for k, name in enumerate(SMPLX_JOINT_NAMES[first : first + 15]):
        finger = name[:-1]
        along = joints_m[f"{finger}3"] - joints_m[f"{finger}1"]
        along = along / np.linalg.norm(along)
        towards = np.array([0.0, -1.0, 0.0])
        if finger.endswith("thumb"):
            towards = 0.5 * (joints_m[f"{side}_pinky1"] + joints_m[f"{side}_ring1"]) - joints_m[f"{side}_thumb1"]
        bend[k] = np.cross(along, towards)
        bend[k] /= np.linalg.norm(bend[k])
        spread[k] = np.cross(bend[k], along)
    return bend, spread


FINGER_BEND_RAD = np.radians([80.0, 95.0, 60.0] * 4 + [25.0, 35.0, 45.0])
"""(15,) how far each joint bends in a fist: index, middle, pinky, ring, thumb."""


def sample_hand_pose(rng: np.random.Generator, joints_m: Mapping[str, np.ndarray], side: str) -> np.ndarray:
    """(15, 3) an open, relaxed, pointing, closed or irregular hand."""
    bend_axes, spread_axes = finger_axes(joints_m, side)
    kind = rng.choice(["open", "relaxed", "fist", "point", "free"], p=[0.25, 0.35, 0.12, 0.08, 0.2])
    low, high = {"open": (0.0, 0.12), "relaxed": (0.15, 0.45), "fist": (0.85, 1.0)}.get(str(kind), (0.1, 0.8))
    curl = rng.uniform(low, high) + rng.normal(0.0, 0.04, 5)
    if kind == "free":
        curl += rng.normal(0.0, 0.25, 5)
    if kind == "point":
        curl = np.array([0.05, 0.85, 0.85, 0.85, 0.8]) + rng.normal(0.0, 0.05, 5)
    share = np.clip(np.repeat(curl, 3) + rng.normal(0.0, 0.05, 15), -0.08, 1.05)
    spread = np.zeros(15)
    spread[::3] = rng.normal(0.0, 0.08, 5)
    return bend_axes * (FINGER_BEND_RAD * share)[:, None] + spread_axes * spread[:, None]
