"""Error measures of 3D and 2D predictions.

Legend: N samples, P points. Lengths in metres in, millimetres out where the name says so; everything in float64.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray


def similarity_align(points: Array, target: Array) -> Array:
    """Maps points to their target by the best rotation, uniform scale and translation (Procrustes, no reflection).

    Args:
        points: (N, P, 3).
        target: (N, P, 3).

    Returns:
        (N, P, 3) aligned points.

    Raises:
        ValueError: Shapes differ, or all points of a sample coincide.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    if points.shape != target.shape or points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"expected two arrays (N, P, 3) of one shape, got {points.shape} and {target.shape}")
    mean, target_mean = points.mean(1, keepdims=True), target.mean(1, keepdims=True)
    centred, target_centred = points - mean, target - target_mean
    variance = (centred**2).sum((1, 2))
    if np.any(variance <= 0):
        raise ValueError(f"sample {int(np.argmin(variance))}: all points coincide, no similarity can be found")
    u, singular, vt = np.linalg.svd(centred.transpose(0, 2, 1) @ target_centred)
    sign = np.ones_like(singular)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (singular * sign).sum(1) / variance
    return scale[:, None, None] * (centred @ rotation) + target_mean


def mpjpe_mm(joints: Array, target: Array, root: int = 0) -> Array:
    """Mean per-joint position error after moving the root joints together.

    Args:
        joints: (N, J, 3) metres.
        target: (N, J, 3) metres.
        root: Joint that is subtracted on both sides.

    Returns:
        (N,) millimetres.
    """
    difference = (joints - joints[:, root : root + 1]) - (target - target[:, root : root + 1])
    return 1e3 * np.linalg.norm(difference, axis=-1).mean(1)


def pa_mpjpe_mm(joints: Array, target: Array) -> Array:
    """Mean per-joint position error after similarity alignment of each sample.

    Args:
        joints: (N, J, 3) metres.
        target: (N, J, 3) metres.

    Returns:
        (N,) millimetres.
    """
    return 1e3 * np.linalg.norm(similarity_align(joints, target) - target, axis=-1).mean(1)


def rotation_angle_deg(rotation: Array, target: Array) -> Array:
    """Angle between rotation matrices (..., 3, 3), in degrees."""
    relative = np.swapaxes(rotation, -1, -2) @ target
    skew = np.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        -1,
    )
    # atan2 keeps full precision near 0 and 180 degrees, where the arc cosine of the trace loses it.
    return np.degrees(np.arctan2(np.linalg.norm(skew, axis=-1), np.trace(relative, axis1=-2, axis2=-1) - 1))
