"""Rotation matrices of the builder (numpy; the run-time code uses `model.rotations`)."""

import numpy as np
from scipy.spatial.transform import Rotation


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length 1."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12)


def about(axis: np.ndarray, angle_rad: np.ndarray | float) -> np.ndarray:
    """Rotation (..., 3, 3) by angles (...) about one axis (3,)."""
    return Rotation.from_rotvec(unit(np.asarray(axis, float)) * np.asarray(angle_rad)[..., None]).as_matrix()


def shortest(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Smallest rotation (..., 3, 3) that turns directions (..., 3) onto a direction; not for opposite ones."""
    source = unit(source)
    target = np.broadcast_to(unit(target), source.shape)
    x, y, z = np.moveaxis(np.cross(source, target), -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    cosine = (source * target).sum(-1)[..., None, None]
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def fraction(rotation: np.ndarray, share: float) -> np.ndarray:
    """The rotations (N, 3, 3) carried out only in part."""
    return Rotation.from_rotvec(Rotation.from_matrix(rotation).as_rotvec() * share).as_matrix()


def apply(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rotate vectors (..., 3) by rotations (..., 3, 3)."""
    return np.einsum("...ij,...j->...i", rotation, vectors)
