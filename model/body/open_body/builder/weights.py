"""Skin weights for the 55 joints, and the head and hand subsets that follow from them."""

import numpy as np

from model.body.open_body.builder.rig import Rig, joint_of_bone
from model.body.open_body.builder.rotation import about
from model.body.open_body.builder.topology import Topology
from model.body.skeleton import SMPLX_JOINT_NAMES

HEAD_JOINTS = ("neck", "head", "jaw", "left_eye", "right_eye")
HEAD_SHARE = 0.3
"""A vertex belongs to the head model if the head joints have at least this share of it."""
HAND_SHARE = 0.12
_JAW, _HEAD = SMPLX_JOINT_NAMES.index("jaw"), SMPLX_JOINT_NAMES.index("head")


def hand_joints(side: str) -> tuple[str, ...]:
    """The 16 joints of one hand, wrist first, in MANO's order."""
    fingers = ("index", "middle", "pinky", "ring", "thumb")
    return (f"{side}_wrist", *(f"{side}_{finger}{k}" for finger in fingers for k in (1, 2, 3)))


def joint_ids(names: tuple[str, ...]) -> list[int]:
    """SMPL-X indices of joints."""
    return [SMPLX_JOINT_NAMES.index(name) for name in names]


def head_subset(weights: np.ndarray) -> np.ndarray:
    """Vertices (Vf,) of the head model."""
    return np.flatnonzero(weights[:, joint_ids(HEAD_JOINTS)].sum(1) > HEAD_SHARE)


def hand_subset(weights: np.ndarray, side: str) -> np.ndarray:
    """Vertices (Vh,) of one hand model."""
    return np.flatnonzero(weights[:, joint_ids(hand_joints(side))].sum(1) > HAND_SHARE)


def smplx_weights(
    rig: Rig, topology: Topology, rig_weights: np.ndarray, rest: np.ndarray, jaw_m: np.ndarray, jaw_open: np.ndarray
) -> tuple[np.ndarray, float]:
    """Skin weights (V, 55), rows sum to 1.

    The rig's bones are summed per joint. The jaw's weights are fitted instead: they make a turn about the jaw joint
    reproduce the `jawOpen` face action as well as linear skinning can. Eyeballs are rigid.

    Args:
        rig: The full rig.
        topology: The body mesh.
        rig_weights: (V, K) weights of the full rig.
        rest: (V, 3) average person, MakeHuman rest pose.
        jaw_m: (3,) jaw joint of that person.
        jaw_open: (V, 3) displacement of the `jawOpen` action.

    Returns:
        The weights and the jaw angle in rad that stands for `jawOpen` = 1.
    """
    weights = np.zeros((len(rest), len(SMPLX_JOINT_NAMES)))
    for k, bone in enumerate(rig.bones):
        weights[:, SMPLX_JOINT_NAMES.index(joint_of_bone(bone))] += rig_weights[:, k]
    jaw, angle = _fit_jaw(rest - jaw_m, jaw_open)
    others = weights.copy()
    others[:, _JAW] = 0
    others[others.sum(1) < 1e-6, _HEAD] = 1
    weights = others / others.sum(1, keepdims=True) * (1 - jaw[:, None])
    weights[:, _JAW] += jaw
    for side in ("left", "right"):
        ball = topology.eyeball(side)
        weights[ball] = 0
        weights[ball, SMPLX_JOINT_NAMES.index(f"{side}_eye")] = 1
    return weights, angle


def _fit_jaw(from_jaw: np.ndarray, jaw_open: np.ndarray) -> tuple[np.ndarray, float]:
    """Jaw weight (V,) and angle: the angle that moves the chin best, then each vertex's share of that turn."""
    moved = np.linalg.norm(jaw_open, axis=1)
    chin = moved > 0.75 * moved.max()

    def turned(angle: float) -> np.ndarray:
        return from_jaw @ about(np.array([1.0, 0.0, 0.0]), angle).T - from_jaw

    angles = np.radians(np.linspace(8, 35, 109))
    angle = float(min(angles, key=lambda a: np.linalg.norm(turned(a)[chin] - jaw_open[chin])))
    full = turned(angle)
    share = np.clip((jaw_open * full).sum(1) / np.maximum((full * full).sum(1), 1e-8), 0, 1)
    share[moved < 2e-4] = 0
    return share, angle
