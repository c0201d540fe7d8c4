"""Square crops of photos as the networks were trained on: where to cut, and the cut with its transform.

A crop is a square of the photo (centre, side, roll), resampled linearly to S x S px; what lies outside the photo is 0.
Crop coordinates are those of the upstream code: the centre of the square falls on S / 2.

Networks for right hands see left hands mirrored. The photo is mirrored then, not the crop: a photo and its mirror image
thus give the same crop to the last bit, which upstream's x -> W - 1 - x does too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from model.imaging.boxes import MIN_SIDE_PX

PORTRAIT = (192.0, 256.0)
"""Width and height that HMR2 and HaMeR grow boxes to (BBOX_SHAPE): 3 to 4."""
BLUR_FROM = 1.1
"""HMR2 and HaMeR blur from this half reduction (side / S / 2) on, by sigma = (half reduction - 1) / 2."""
BLUR_TRUNCATE = 4.0
"""Radius of the Gaussian in sigmas (default of skimage.filters.gaussian)."""
MARGIN_PX = 2
"""Pixels around the square that linear interpolation may touch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Where a crop lies in the photo."""

    centre_px: tuple[float, float]
    """x, y."""
    side_px: float
    """Length of a side."""
    roll_rad: float = 0.0
    """Angle from the photo's axes to the square's; positive is clockwise on the screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """A cut piece of a photo."""

    pixels: np.ndarray
    """(S, S, 3) float32 RGB, 0..255."""
    crop_from_image: np.ndarray
    """(2, 3) affine from photo px to crop px; it mirrors where the crop is mirrored."""
    square: Square
    """Where it was cut, in the photo as it is."""


def keypoint_box(keypoints: np.ndarray, min_score: float, min_points: int) -> np.ndarray | None:
    """Extent (4,) xyxy px of the keypoints (K, 3) that are seen, or None if there are too few to tell.

    Args:
        keypoints: x, y in px and score in 0..1; 0 is not seen.
        min_score: Score that a seen point exceeds.
        min_points: Seen points below which there is no box; neither is there one smaller than ``MIN_SIDE_PX``.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    seen = keypoints[np.isfinite(keypoints).all(1) & (keypoints[:, 2] > min_score)][:, :2]
    if len(seen) < min_points:
        return None
    box = np.concatenate([seen.min(0), seen.max(0)])
    return box if max(box[2:] - box[:2]) >= MIN_SIDE_PX else None


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


def cut(rgb: np.ndarray, square: Square, size: int, *, antialias: bool = False, mirrored: bool = False) -> Crop:
    """Cuts a square out of a photo.

    Args:
        rgb: (H, W, 3) uint8.
        square: Where, in the photo as it is.
        size: Side of the crop, px.
        antialias: Blur first when the photo shrinks much, as HMR2 and HaMeR do. Upstream blurs the whole photo; here
            the square and the blur's reach around it, with the same pixels as result.
        mirrored: Cut out of the photo's mirror image.

    Returns:
        The crop; its transform includes the mirroring.
    """
    height, width = rgb.shape[:2]
    mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0]]) if mirrored else np.array([[1.0, 0, 0], [0, 1, 0]])
    centre_x, centre_y = square.centre_px
    seen = square
    if mirrored:
        seen = Square(centre_px=(width - centre_x - 1, centre_y), side_px=square.side_px, roll_rad=-square.roll_rad)
    half_reduction = square.side_px / size / 2
    sigma = (half_reduction - 1) / 2 if antialias and half_reduction > BLUR_FROM else 0.0
    radius = int(BLUR_TRUNCATE * sigma + 0.5)
    reach = square.side_px / 2 * (abs(math.cos(seen.roll_rad)) + abs(math.sin(seen.roll_rad))) + radius + MARGIN_PX
    x0, x1 = _range(seen.centre_px[0], reach + square.side_px / size, width)
    y0, y1 = _range(seen.centre_px[1], reach + square.side_px / size, height)
    affine = crop_affine(seen, size)
    if x0 < x1 and y0 < y1:
        piece = rgb[y0:y1, width - x1 : width - x0][:, ::-1] if mirrored else rgb[y0:y1, x0:x1]
        piece = np.ascontiguousarray(piece)
        if sigma > 0:
            # Five times as fast as GaussianBlur on a float photo, and the same to 4e-5 grey levels.
            kernel = cv2.getGaussianKernel(2 * radius + 1, sigma, cv2.CV_32F)
            piece = cv2.sepFilter2D(piece, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        local = affine.copy()
        local[:, 2] += affine[:, :2] @ (x0, y0)
        pixels = cv2.warpAffine(piece, local, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    else:
        pixels = np.zeros((size, size, 3), np.uint8)
    to_crop = np.column_stack([affine[:, :2] @ mirror[:, :2], apply_affine(affine, mirror[:, 2])])
    return Crop(pixels=pixels.astype(np.float32), crop_from_image=to_crop, square=square)


def _range(centre: float, reach: float, size: int) -> tuple[int, int]:
    """Pixels from first to one past the last within ``reach`` of ``centre``, inside 0..size."""
    return max(math.floor(centre - reach), 0), min(math.ceil(centre + reach) + 1, size)
