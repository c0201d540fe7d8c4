"""Hand poses made by rule: a relaxed hand, a fist, and principal components of random curls and spreads.

No hand-pose data is free to use, so this is geometry, not measurement: each finger joint bends about the axis that
takes the straight finger to the palm, and each knuckle spreads in the plane of the palm. The right hand mirrors the
left.
"""

from dataclasses import dataclass

import numpy as np

from model.body.open_body.builder.rotation import unit
from model.body.open_body.builder.weights import hand_joints
from model.body.skeleton import SMPLX_JOINT_NAMES

NUM_SAMPLES = 3000
# Flexion of index, middle, pinky, ring, thumb; three joints each.
FIST_RAD = np.radians([80, 95, 60, 80, 95, 60, 80, 95, 60, 80, 95, 60, 25, 35, 45])
RELAXED_RAD = np.radians([12, 18, 10, 14, 20, 12, 18, 22, 14, 16, 22, 12, 8, 10, 12])
_MIRROR = np.array([1.0, -1.0, -1.0])
"""A rotation vector seen in the mirror x -> -x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandSpace:
    """Axis-angle hand poses; first axis left, right."""

    mean: np.ndarray
    """(2, 45) relaxed hand, rad."""
    fist: np.ndarray
    """(2, 45) closed hand, rad."""
    components: np.ndarray
    """(2, 45, 45) orthonormal rows, most common first."""
    explained: np.ndarray
    """(45,) cumulative share of variance."""


def hand_space(rng: np.random.Generator, joints: np.ndarray) -> HandSpace:
    """Build the space from T-pose joints (55, 3)."""
    bend, spread = _left_axes({name: joints[j] for j, name in enumerate(SMPLX_JOINT_NAMES)})
    poses = []
    for _ in range(NUM_SAMPLES):
        grip = rng.beta(1, 1.5)
        finger = np.repeat(np.clip(grip + rng.normal(0, 0.3, 5), -0.1, 1.05), 3)
        flexion = FIST_RAD * np.clip(finger + rng.normal(0, 0.12, 15), -0.1, 1.1)
        opening = np.zeros(15)
        opening[::3] = rng.normal(0, 0.12, 5)
        poses.append(bend * flexion[:, None] + spread * opening[:, None])
    samples = np.array(poses).reshape(NUM_SAMPLES, 45)
    _, scale, components = np.linalg.svd(samples - samples.mean(0), full_matrices=False)
    components = components * np.sign(components @ np.cos(np.arange(45)))[:, None]
    return HandSpace(
        mean=_both(bend * RELAXED_RAD[:, None]).reshape(2, 45),
        fist=_both(bend * FIST_RAD[:, None]).reshape(2, 45),
        components=_both(components.reshape(45, 15, 3)).reshape(2, 45, 45),
        explained=np.cumsum(scale**2) / (scale**2).sum(),
    )


def _both(left: np.ndarray) -> np.ndarray:
    return np.stack([left, left * _MIRROR])


def _left_axes(joints: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Bending and spreading axes (15, 3) of the left hand; + bends to the palm, + spreads towards the thumb."""
    palm = np.array([0.0, -1.0, 0.0])
    bend, spread = [], []
    for name in hand_joints("left")[1:]:
        finger = name[:-1]
        along = unit(joints[f"{finger}3"] - joints[f"{finger}1"])
        if finger == "left_thumb":
            across = (joints["left_pinky1"] + joints["left_ring1"]) / 2 - joints["left_thumb1"]
            bend.append(unit(np.cross(along, across)))
            spread.append(np.cross(bend[-1], along))
        else:
            bend.append(np.cross(along, palm))
            spread.append(palm)
    return np.array(bend), np.array(spread)
