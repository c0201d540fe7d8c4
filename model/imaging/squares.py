"""Squares of photos: where a crop lies, around which box or keypoints, and the way from the px of photo to crop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.imaging.boxes import MIN_SIDE_PX

PORTRAIT = (192.0, 256.0)
"""Width and height that HMR2 and HaMeR grow boxes to (BBOX_SHAPE): 3 to 4."""
VISIBLE_SHARE = PORTRAIT[0] / PORTRAIT[1]
"""Share of the crop's width that the network reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Where a crop lies in the photo."""

    centre_px: tuple[float, float]
    """x, y."""
    side_px: float
    """Length of a side."""
    roll_rad: float = 0.0
    """Angle from the photo's axes to the square's; positive is clockwise on the screen."""


def keypoint_box(keypoints: np.ndarray, min_score: float, min_points: int) -> np.ndarray | str:
    """Extent (4,) xyxy px of the keypoints (K, 3) that are seen, or what they lack to have one.

    Args:
        keypoints: x, y in px and score in 0..1; 0 is not seen.
        min_score: Score that a seen point exceeds.
        min_points: Seen points below which there is no box; neither is there one smaller than ``MIN_SIDE_PX``.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    seen = keypoints[np.isfinite(keypoints).all(1) & (keypoints[:, 2] > min_score)][:, :2]
    if len(seen) < min_points:
        return f"{len(seen)} keypoints score more than {min_score:g}, needed {min_points}"
    box = np.concatenate([seen.min(0), seen.max(0)])
    side = max(box[2:] - box[:2])
    return box if side >= MIN_SIDE_PX else f"keypoints {side:.1f} px wide, needed {MIN_SIDE_PX}"


def square_of_box(box: np.ndarray, scale: float, shape: tuple[float, float] | None = None) -> Square:
    """Returns the square around a box.

    Args:
        box: (4,) xyxy px.
        scale: Factor on width and height.
        shape: Width and height whose ratio the scaled box is grown to before its longer side is taken, or None.
    """
    left, top, right, bottom = (float(v) for v in box)
    width, height = scale * (right - left), scale * (bottom - top)
    side = max(width, height)
    if shape is not None:
        side = max(side, width * shape[1] / shape[0], height * shape[0] / shape[1])
    return Square(centre_px=((left + right) / 2, (top + bottom) / 2), side_px=side)


def crop_affine(square: Square, size: int) -> np.ndarray:
    """Affine (2, 3) from photo px to px of a crop of ``size`` px a side."""
    scale = size / square.side_px
    cos, sin = math.cos(square.roll_rad) * scale, math.sin(square.roll_rad) * scale
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([linear, size / 2 - linear @ np.array(square.centre_px)])


def invert_affine(affine: np.ndarray) -> np.ndarray:
    """Inverse (2, 3) of an affine (2, 3)."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def apply_affine(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Moves points (..., 2) by an affine (2, 3)."""
    return np.asarray(points) @ affine[:, :2].T + affine[:, 2]


def is_read(points: Any) -> Any:
    """Which points the network reads (...,) bool, of points (..., 2 or more) in sides of the crop from its centre.

    Arrays give an array, tensors a tensor.
    """
    return (abs(points[..., 0]) <= VISIBLE_SHARE / 2) & (abs(points[..., 1]) <= 0.5)
