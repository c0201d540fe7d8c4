"""Crops with the pixels of the official estimators' own code.

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

from model.imaging.squares import Square, apply_affine, crop_affine

BLUR_FROM = 1.1
"""HMR2 and HaMeR blur from this half reduction (side / S / 2) on, by sigma = (half reduction - 1) / 2."""
BLUR_TRUNCATE = 4.0
"""Radius of the Gaussian in sigmas (default of skimage.filters.gaussian)."""
MARGIN_PX = 2
"""Pixels around the square that linear interpolation may touch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """A cut piece of a photo."""

    pixels: np.ndarray
    """(S, S, 3) float32 RGB, 0..255."""
    crop_from_image: np.ndarray
    """(2, 3) affine from photo px to crop px; it mirrors where the crop is mirrored."""
    square: Square
    """Where it was cut, in the photo as it is."""


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
