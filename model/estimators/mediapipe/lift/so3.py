"""Rotations of single joints in numpy, as the inverse kinematics needs them.

Each joint is solved after its parent, one person at a time, in float64: there is no batch for the tensors of
``model.rotations``, and this package lies below ``fitting``.

Convention: active rotation matrices (3, 3) on column vectors; rotation vectors in radians.
"""

from __future__ import annotations

import math

import numpy as np

from model.estimators.base import Array

CAMERA_FROM_MODEL = np.diag([1.0, -1.0, -1.0])
"""Turns model axes (y up, z out of the chest) into camera axes (y down, z forward); its own inverse."""
_SMALL = 1e-9


def unit(v: Array) -> Array:
    """Returns v (3,) at length one; a zero vector stays zero."""
    return v / (np.linalg.norm(v) + _SMALL)


def exp(rotvec: Array) -> Array:
    """Rotation matrix of a rotation vector (3,)."""
    angle = float(np.linalg.norm(rotvec))
    if angle < _SMALL:
        return np.eye(3)
    x, y, z = rotvec / angle
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


def log(R: Array) -> Array:
    """Rotation vector (3,) of a rotation matrix, angle in 0..pi."""
    w = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
    sine, cosine = float(np.linalg.norm(w)), float((np.trace(R) - 1) / 2)
    if sine > 1e-6:
        return w / sine * math.atan2(sine, cosine)
    if cosine > 0:
        return w
    S = (R + np.eye(3)) / 2
    return unit(S[:, int(np.argmax(np.diag(S)))]) * math.pi


def angle_rad(R: Array) -> float:
    """Angle of a rotation, radians."""
    return float(np.linalg.norm(log(R)))


def clamped(R: Array, max_rad: float) -> Array:
    """Returns R with its angle bounded."""
    v = log(R)
    angle = float(np.linalg.norm(v))
    return R if angle <= max_rad else exp(v * (max_rad / angle))


def swing(a: Array, b: Array) -> Array:
    """Least rotation that takes the direction a (3,) to the direction b (3,)."""
    a, b = unit(a), unit(b)
    axis = np.cross(a, b)
    sine = float(np.linalg.norm(axis))
    if sine > 1e-8:
        return exp(axis / sine * math.atan2(sine, float(a @ b)))
    if a @ b > 0:
        return np.eye(3)
    return exp(math.pi * unit(np.cross(a, [0.3, 0.9, 0.1])))


def frame(x: Array, up: Array) -> Array:
    """Rotation whose first column is x and whose second one leans to ``up``."""
    first = unit(x)
    third = unit(np.cross(first, up))
    return np.stack([first, np.cross(third, first), third], axis=1)


def kabsch(rest: Array, seen: Array) -> Array:
    """Rotation R that best takes the points ``rest`` (N, 3) to ``seen`` (N, 3), both centred."""
    U, _, Vt = np.linalg.svd((rest - rest.mean(0)).T @ (seen - seen.mean(0)))
    sign = np.sign(np.linalg.det(Vt.T @ U.T))
    return Vt.T @ np.diag([1.0, 1.0, sign]) @ U.T


def twist_rad(R: Array, axis: Array) -> float:
    """Angle of the part of R that turns about ``axis`` (3,), in -pi..pi."""
    v = log(R)
    half = float(np.linalg.norm(v)) / 2
    w, along = math.cos(half), float(unit(v) @ unit(axis)) * math.sin(half)
    angle = 2 * math.atan2(along, w)
    return (angle + math.pi) % (2 * math.pi) - math.pi


def turn_about(axis: Array, a: Array, b: Array) -> float:
    """Signed angle about ``axis`` (3,) from a to b, both seen along the axis; 0 where undefined."""
    axis = unit(axis)
    a, b = a - axis * (a @ axis), b - axis * (b @ axis)
    if min(np.linalg.norm(a), np.linalg.norm(b)) < 1e-6:
        return 0.0
    return math.atan2(float(np.cross(a, b) @ axis), float(a @ b))


def between_rad(a: Array, b: Array) -> float:
    """Angle between two directions (3,), 0..pi."""
    return math.acos(float(np.clip(unit(a) @ unit(b), -1, 1)))


def smoothstep(x: float, low: float, high: float) -> float:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def view_ray(x_px: float, y_px: float, focal_px: float, principal_px: Array) -> Array:
    """Rotation that takes the optical axis to the view ray of a pixel.

    A network sees a crop as if the camera looked straight at it; this turns its 3D answer into the camera frame.
    """
    ray = np.array([(x_px - principal_px[0]) / focal_px, (y_px - principal_px[1]) / focal_px, 1.0])
    return swing(np.array([0.0, 0.0, 1.0]), ray)


def to_model_axes(points: Array, ray: Array) -> Array:
    """Takes (N, 3) points of a crop's camera axes to model axes, through the view ray's rotation."""
    return points @ ray.T @ CAMERA_FROM_MODEL
