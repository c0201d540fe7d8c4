"""The steps before and after an RTMPose network: crop a person's box, and read keypoints from the two axis profiles.

Legend: P people, K keypoints, (w, h) size of the network's input, Wx and Wy bins of the axis profiles (two a pixel).
Frames: photo px x right, y down; input px are those of the crop. Source: Jiang et al., RTMPose (2023), and SimCC (Li et
al. 2022).
"""

from __future__ import annotations

import cv2
import numpy as np

from model.estimators.base import Array

PADDING = 1.25
"""The crop as a multiple of the box."""
MEAN_RGB = np.array([123.675, 116.28, 103.53], np.float32)
STD_RGB = np.array([58.395, 57.12, 57.375], np.float32)
"""Of ImageNet, for values 0..255 in the order red, green, blue."""
# A table of the 256 values: looking up takes a fifth of the time of the arithmetic, the most costly step after the cut.
_STANDARDISED = ((np.arange(256) - MEAN_RGB[:, None]) / STD_RGB[:, None]).astype(np.float32)[:, None]


def crop_of_boxes(boxes_xyxy: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """Returns centres (P, 2) and widths and heights (P, 2) of the crops, photo px.

    A box grows by 1.25, then in one direction to the shape of the input.
    """
    boxes = np.asarray(boxes_xyxy, dtype=float).reshape(-1, 4)
    width, height = ((boxes[:, 2:] - boxes[:, :2]) * PADDING).T
    shape = size[0] / size[1]
    is_wide = width > height * shape
    extent = np.stack([np.where(is_wide, width, height * shape), np.where(is_wide, width / shape, height)], axis=1)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, extent


def crop_matrix(centre: Array, extent: Array, size: tuple[int, int]) -> Array:
    """Returns the affine map (2, 3) from photo px to input px of a crop with centre (2,) and extent (2,)."""
    factor = size[0] / extent[0]
    return np.array(
        [[factor, 0, size[0] / 2 - factor * centre[0]], [0, factor, size[1] / 2 - factor * centre[1]]], dtype=float
    )


def crop(rgb: Array, centre: Array, extent: Array, size: tuple[int, int]) -> Array:
    """Returns the crop (h, w, 3) uint8 of an (H, W, 3) photo, black outside of it."""
    return cv2.warpAffine(rgb, crop_matrix(centre, extent, size), size, flags=cv2.INTER_LINEAR)


def normalised(rgb_crop: Array) -> Array:
    """Returns the network's input (3, h, w) float32 of a crop (h, w, 3) uint8, RGB: (value - mean) / deviation."""
    channels = cv2.split(rgb_crop)
    return np.stack([cv2.LUT(channel, table) for channel, table in zip(channels, _STANDARDISED, strict=True)])


def decode(simcc_x: Array, simcc_y: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """Reads keypoints from the axis profiles (P, K, Wx) and (P, K, Wy).

    Returns:
        Points (P, K, 2) in input px, NaN where the score is not positive, and raw scores (P, K): the lower of the two
        maxima. Upstream sets such points to -0.5 px, from where they land near the crop's corner unnoticed.
    """
    bins = np.stack([simcc_x.argmax(-1), simcc_y.argmax(-1)], axis=-1)
    raw = np.minimum(simcc_x.max(-1), simcc_y.max(-1))
    per_px = np.array([simcc_x.shape[-1] / size[0], simcc_y.shape[-1] / size[1]])
    return np.where(raw[..., None] > 0, bins / per_px, np.nan), raw


def to_photo(points: Array, centre: Array, extent: Array, size: tuple[int, int]) -> Array:
    """Takes input px (P, K, 2) to photo px through the crops' centres (P, 2) and extents (P, 2)."""
    return (points / np.array(size)) * extent[:, None] + (centre - extent / 2)[:, None]
