"""Rotated squares of a photo: cutting them out, and the way back to photo pixels.

Convention: a region is rotated by ``rotation_rad`` (positive = clockwise on the screen).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from model.estimators.base import Array

MAX_SHRINK = 8
"""Largest factor by which a crop is averaged down; beyond, pixels are skipped."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square of a photo."""

    x_px: float
    y_px: float
    side_px: float
    rotation_rad: float = 0.0

    def photo_from_unit(self) -> Array:
        """Returns the (2, 3) affine map from the unit square (0..1, 0..1) to photo pixels."""
        c, s = math.cos(self.rotation_rad) * self.side_px, math.sin(self.rotation_rad) * self.side_px
        return np.array([[c, -s, self.x_px - (c - s) / 2], [s, c, self.y_px - (s + c) / 2]])

    def moved(self, *, scale: float = 1.0, turn_rad: float = 0.0, dx: float = 0.0, dy: float = 0.0) -> Region:
        """Returns a neighbour; ``dx`` and ``dy`` are shares of the side."""
        return Region(
            self.x_px + dx * self.side_px,
            self.y_px + dy * self.side_px,
            self.side_px * scale,
            self.rotation_rad + turn_rad,
        )


def crop(rgb: Array, region: Region, side_px: int, *, mirrored: bool = False, black_outside: bool = False) -> Array:
    """Returns the (side, side, 3) crop of a region; with ``mirrored`` its left-right mirror image.

    Outside the photo its edge is repeated, or black with ``black_outside`` (the detector was trained so).
    """
    shrink = min(max(int(region.side_px / side_px), 1), MAX_SHRINK)
    fine_px = shrink * side_px
    out = cv2.warpAffine(
        rgb,
        _photo_from_crop(region, fine_px),
        (fine_px, fine_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if black_outside else cv2.BORDER_REPLICATE,
    )
    if shrink > 1:  # warpAffine does not average: large photos would alias
        out = cv2.resize(out, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(out[:, ::-1]) if mirrored else out


def uncropped(values: Array, region: Region, width: int, height: int, *, outside: float) -> Array:
    """Returns (height, width) values of a photo's pixels from those (S, S) of a region's crop.

    Args:
        values: float32.
        region: What the crop shows.
        width: Of the photo, px.
        height: Of the photo, px.
        outside: Value of the pixels that the crop does not show.
    """
    return cv2.warpAffine(
        values,
        _photo_from_crop(region, len(values)),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )


def _photo_from_crop(region: Region, side_px: int) -> Array:
    """The (2, 3) affine map from pixels of a crop to photo pixels; whole numbers are the middles of pixels."""
    affine = region.photo_from_unit() @ np.diag([1 / side_px, 1 / side_px, 1.0])
    affine = affine @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    affine[:, 2] -= 0.5
    return affine


def to_photo(points: Array, region: Region, *, mirrored: bool = False) -> Array:
    """Maps (N, 2+) points of the unit square to photo px; a third column is scaled by the side."""
    points = np.array(points, dtype=float)
    if mirrored:
        points[:, 0] = 1 - points[:, 0]
    affine = region.photo_from_unit()
    points[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    if points.shape[1] > 2:
        points[:, 2] *= region.side_px
    return points


def turn_world(points_m: Array, region: Region, *, mirrored: bool = False) -> Array:
    """Rotates (N, 3) world landmarks of a crop into the photo's axes."""
    c, s = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    points_m = points_m * (np.array([-1.0, 1.0, 1.0]) if mirrored else 1.0)
    return points_m @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


def lean_rad(axis: Array) -> float:
    """Rotation of a region whose upward direction is the (2,) photo vector ``axis``; 0 = straight up."""
    return math.atan2(axis[0], -axis[1])
