"""Distances of joints and vertices, as they are and after alignment.

Legend: N people, P points, J joints. Lengths in metres in, millimetres out where the name says so; everything in
float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import roma
import torch
from torch import Tensor

from model.body.skeleton import PELVIS

_SAME_POINT_REL = 1e-12
"""Points that lie closer together, as a share of their distance from the origin, coincide."""
_POINTS_AT_ONCE = 1 << 16
"""Points that a CPU aligns together, so that they stay in its cache."""


def similarity_align(points: Tensor, target: Tensor) -> Tensor:
    """Maps points to their target by the best rotation, uniform scale and translation (Procrustes, no reflection).

    Args:
        points: (N, P, 3).
        target: (N, P, 3).

    Returns:
        (N, P, 3) aligned points, float64.

    Raises:
        ValueError: Shapes differ, a number is not finite, or all points of a sample coincide.
    """
    return (_misfit(points, target) + target.mT.double()).mT


def _misfit(points: Tensor, target: Tensor, first: int = 0) -> Tensor:
    """(N, 3, P) by which points miss their target after alignment, float64; the first sample has a number.

    Coordinates lie in rows, which a CPU goes through several times as fast as through points of three.
    """
    if points.shape != target.shape or points.dim() != 3 or points.shape[-1] != 3:
        raise ValueError(
            f"expected two tensors (N, P, 3) of one shape, got {tuple(points.shape)} and {tuple(target.shape)}"
        )
    points, target = (own.mT.contiguous().double() for own in (points, target))
    middle = points.mean(2, keepdim=True)
    points, target = points - middle, target - target.mean(2, keepdim=True)
    spread, covariance = points.square().sum((1, 2)), target @ points.mT
    bad = ~(spread + covariance.abs().sum((1, 2))).isfinite()
    if bool(bad.any()):
        raise ValueError(f"sample {first + int(bad.nonzero()[0])}: a point is not finite, no similarity can be found")
    away = points.shape[2] * middle.square().sum((1, 2))
    same = spread <= _SAME_POINT_REL**2 * (spread + away)
    if bool(same.any()):
        raise ValueError(f"sample {first + int(same.nonzero()[0])}: all points coincide, no similarity can be found")
    rotation, singular = cast(tuple[Tensor, Tensor], roma.special_procrustes(covariance, return_singular_values=True))
    turn = (singular.sum(1) / spread)[:, None, None] * rotation
    return torch.baddbmm(target, turn, points, beta=-1)


def mean_distance_mm(points: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
    """Mean distance of corresponding points: PVE of vertices, MPJPE of joints.

    Args:
        points: (N, P, 3) metres.
        target: (N, P, 3) metres.
        counts: (N, P) bool, which points the mean is of; None: all.

    Returns:
        (N,) millimetres; NaN where no point counts.
    """
    return _mean_mm(torch.linalg.vector_norm(points.double() - target.double(), dim=-1), counts)


def _mean_mm(distances: Tensor, counts: Tensor | None) -> Tensor:
    if counts is None:
        return 1e3 * distances.mean(1)
    return 1e3 * torch.where(counts, distances, 0.0).sum(1) / counts.sum(1)


def mpjpe_mm(
    joints: Tensor, target: Tensor, root: int = PELVIS, counted: Sequence[int] | slice = slice(None)
) -> Tensor:
    """Mean per-joint position error after moving the root joints together.

    Args:
        joints: (N, J, 3) metres.
        target: (N, J, 3) metres.
        root: Row of the root joint.
        counted: Rows that the mean is of.

    Returns:
        (N,) millimetres.
    """
    joints, target = joints.double(), target.double()
    rooted = joints - joints[:, root : root + 1], target - target[:, root : root + 1]
    return mean_distance_mm(*(own[:, counted] for own in rooted))


def pa_mpjpe_mm(points: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
    """Mean distance after similarity alignment of each sample (PA-MPJPE of joints, PA-PVE of vertices).

    Args:
        points: (N, P, 3) metres.
        target: (N, P, 3) metres.
        counts: (N, P) bool, which points the mean is of; the alignment is always by all.

    Returns:
        (N,) millimetres; NaN where no point counts.

    Raises:
        ValueError: See ``similarity_align``.
    """
    people = max(1, _POINTS_AT_ONCE // max(1, points.shape[1])) if points.device.type == "cpu" else max(1, len(points))
    misfits = (
        _misfit(*pair, first=number * people)
        for number, pair in enumerate(zip(points.split(people), target.split(people), strict=True))
    )
    distances = torch.cat([off.square_().sum(1).sqrt_() for off in misfits])
    return _mean_mm(distances, counts)


def orientation_error_deg(rotation: Tensor, target: Tensor) -> Tensor:
    """Angle between rotation matrices (..., 3, 3), in degrees."""
    return torch.rad2deg(roma.rotmat_geodesic_distance(rotation.double(), target.double()))
