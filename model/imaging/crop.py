"""The crop that the regressor sees: where it lies around a person's box, and the cut itself.

Training and prediction cut with the same function. Coordinates count from the corner, in the photo and in the crop:
pixel (i, j) has its centre at (i + 0.5, j + 0.5), and the centre of the square falls on C / 2.

Legend: C side of the crop in px, K keypoints.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from model.imaging.squares import PORTRAIT, Square, apply_affine, crop_affine, invert_affine, square_of_box

CROP_MARGIN = 1.2
"""Factor on a person's box (HMR2)."""
DECODE_REDUCTIONS = (8, 4, 2, 1)
"""Factors by which a JPEG shrinks while it is decoded."""
_MARGIN_PX = 2
"""Pixels around the square that linear interpolation may touch."""


def crop_square(box_xyxy: np.ndarray, *, margin: float = CROP_MARGIN) -> Square:
    """The square around a box (4,) px: the box times ``margin``, grown to 3 : 4, its longer side.

    The network reads the middle 3 : 4 of the crop; a wide person thus fits into what it reads. As in HMR2.
    """
    return square_of_box(box_xyxy, margin, PORTRAIT)


def crop_transform(square: Square, crop_px: int, *, mirrored: bool = False) -> np.ndarray:
    """Affine (2, 3) float64 from px of the photo to px of the crop, both from the corner.

    Args:
        square: Where it is cut, in the photo as it is.
        crop_px: C.
        mirrored: The crop is mirrored, left to right, after it is cut.
    """
    affine = crop_affine(square, crop_px)
    if mirrored:
        affine[0] *= -1
        affine[0, 2] += crop_px
    return affine


def decode_reduction(square: Square, crop_px: int) -> int:
    """Largest reduction 1, 2, 4 or 8 of the photo at which the crop still shrinks it, or keeps its size."""
    return next((factor for factor in DECODE_REDUCTIONS if square.side_px >= factor * crop_px), 1)


def cut_crop(
    rgb: np.ndarray,
    crop_from_image: np.ndarray,
    crop_px: int,
    *,
    reduction: int = 1,
    offset_px: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Cuts a crop; what lies outside the photo is black.

    Where the crop is less than half as fine as the photo, blocks of 2 x 2, 4 x 4, ... px are averaged first, so that
    nothing aliases; the rest is linear interpolation.

    Args:
        rgb: (h, w, 3) uint8: the photo, or a reduced photo (``datasets_manifest.sources.images.decode_reduced``).
        crop_from_image: (2, 3) affine from px of the full photo to px of the crop (``crop_transform``).
        crop_px: C.
        reduction: Position p of the full photo lies at p / reduction + offset_px of ``rgb``.
        offset_px: See ``reduction``.

    Returns:
        (C, C, 3) uint8.
    """
    affine = np.array(crop_from_image, np.float64)
    affine[:, :2] *= reduction
    affine[:, 2] -= affine[:, :2] @ np.asarray(offset_px, np.float64)
    corners = np.array([[0, 0], [crop_px, 0], [0, crop_px], [crop_px, crop_px]], np.float64)
    reached = apply_affine(invert_affine(affine), corners)
    shrink = 1 / math.sqrt(abs(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0]))
    block = 2 ** max(math.floor(math.log2(shrink) + 1e-9), 0)
    (x0, x1), (y0, y1) = (
        _blocks(reached[:, axis].min(), reached[:, axis].max(), block, rgb.shape[1 - axis]) for axis in (0, 1)
    )
    if x0 >= x1 or y0 >= y1:
        return np.zeros((crop_px, crop_px, 3), np.uint8)
    piece = rgb[y0:y1, x0:x1]
    if block > 1:
        piece = _average_blocks(piece, block)
    affine[:, 2] += affine[:, :2] @ np.array([x0, y0], np.float64)
    affine[:, :2] *= block
    # warpAffine counts from the centres of pixels.
    affine[:, 2] += affine[:, :2] @ np.array([0.5, 0.5]) - 0.5
    return cv2.warpAffine(piece, affine, (crop_px, crop_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def keypoints_in_crop(keypoints: np.ndarray, crop_from_image: np.ndarray, crop_px: int) -> np.ndarray:
    """Keypoints as the network sees them.

    Args:
        keypoints: (K, 3) x, y px of the photo and a score; a point that is not finite becomes (0, 0, 0).
        crop_from_image: (2, 3).
        crop_px: C.

    Returns:
        (K, 3) float32: x, y in -0.5 .. 0.5 of the crop, 0 its centre, beyond that outside the crop; the score as it is.
    """
    keypoints = np.asarray(keypoints, np.float64)
    known = np.isfinite(keypoints).all(1, keepdims=True) & (keypoints[:, 2:] > 0)
    points = apply_affine(crop_from_image, np.where(known, keypoints[:, :2], 0.0)) / crop_px - 0.5
    return np.where(known, np.column_stack([points, keypoints[:, 2]]), 0.0).astype(np.float32)


def _blocks(low: float, high: float, block: int, size: int) -> tuple[int, int]:
    """First and one past the last pixel that a crop touches, inside 0..size, on the grid of blocks."""
    first = math.floor(low / block - _MARGIN_PX) * block
    last = math.ceil(high / block + _MARGIN_PX) * block
    return max(first, 0), min(last, size)


def _average_blocks(piece: np.ndarray, block: int) -> np.ndarray:
    """Means (ceil(h / block), ceil(w / block), 3); the last row and column are repeated into a whole block."""
    bottom, right = -piece.shape[0] % block, -piece.shape[1] % block
    if bottom or right:
        piece = cv2.copyMakeBorder(piece, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(piece, (piece.shape[1] // block, piece.shape[0] // block), interpolation=cv2.INTER_AREA)
