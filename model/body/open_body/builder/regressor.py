"""Joint regressor: each joint as a convex combination of a few vertices around it.

The rig's own joint markers drift by up to 25 mm with stature, so the regressor is fitted to one average body only, on
the ring of vertices where the joint's skin weight meets its parent's; the ring then carries the joint to other shapes.
"""

import numpy as np
from scipy.optimize import nnls

from model.body.open_body.builder.weights import HEAD_JOINTS, hand_joints
from model.body.skeleton import SMPLX_JOINT_NAMES, SMPLX_PARENTS

RIDGE = 3e-3
JAW_RIDGE = 1e-3
"""Weights are spread over many vertices; the jaw, far from the skin, needs more freedom."""
_RING_WEIGHT = 0.08
_FEWEST = 12


def fit_joint_regressor(
    vertices: np.ndarray,
    joints: np.ndarray,
    weights: np.ndarray,
    *,
    inner: np.ndarray,
    expressive: np.ndarray,
    subsets: dict[str, np.ndarray],
    eyeballs: dict[str, np.ndarray],
) -> np.ndarray:
    """Non-negative ridge regression of every joint.

    Args:
        vertices: (V, 3) average body.
        joints: (55, 3) its joints.
        weights: (V, 55) skin weights.
        inner: (V,) true for vertices hidden inside the mouth and eyes; never used.
        expressive: (V,) true for vertices that a face action moves; not used for neck, head and jaw.
        subsets: `head`, `left`, `right` -> vertices of the head and hand models. Their joints use no others, so that
            the part models have the joints of the whole body.
        eyeballs: `left`, `right` -> vertices of the eyeball.

    Returns:
        (55, V), rows non-negative and summing to 1.
    """
    regressor = np.zeros((len(SMPLX_JOINT_NAMES), len(vertices)))
    for j, name in enumerate(SMPLX_JOINT_NAMES):
        side = name.split("_")[0]
        usable = ~inner
        if name in (*hand_joints("left"), *hand_joints("right")):
            usable &= np.isin(np.arange(len(vertices)), subsets[side])
        if name in HEAD_JOINTS:
            usable &= np.isin(np.arange(len(vertices)), subsets["head"]) & ~expressive
        if name.endswith("_eye"):
            chosen = eyeballs[side]
        elif name in HEAD_JOINTS:
            chosen = _nearest(vertices, joints[j], usable, 300 if name == "neck" else 600)
        else:
            if name == "pelvis":
                ring = (weights[:, 0] > 0.3) & (np.abs(vertices[:, 1] - joints[0, 1]) < 0.06)
            else:
                ring = np.minimum(weights[:, j], weights[:, SMPLX_PARENTS[j]]) > _RING_WEIGHT
            chosen = np.flatnonzero(usable & ring)
            if len(chosen) < _FEWEST:
                chosen = _nearest(vertices, joints[j], usable, 300)
        regressor[j, chosen] = _convex_weights(vertices[chosen] - joints[j], JAW_RIDGE if name == "jaw" else RIDGE)
    return regressor


def _nearest(vertices: np.ndarray, point: np.ndarray, usable: np.ndarray, count: int) -> np.ndarray:
    candidates = np.flatnonzero(usable)
    distance = np.linalg.norm(vertices[candidates] - point, axis=1)
    return candidates[np.argsort(distance, kind="stable")[:count]]


def _convex_weights(offsets: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (M,) >= 0 of sum 1 whose mean of offsets (M, 3) is near zero and which are spread out."""
    count = len(offsets)
    system = np.vstack([offsets.T, np.ones((1, count)), ridge * np.eye(count)])
    weights, _ = nnls(system, np.r_[0, 0, 0, 1, np.zeros(count)], maxiter=50 * count)
    return weights / weights.sum()
