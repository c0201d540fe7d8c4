"""The person detector YOLOX: a letterboxed BGR photo in, boxes of people out.

Legend: A = anchor cells of the strides 8, 16 and 32, stride by stride, row by row. Frame: xyxy px.
Source: Ge et al., YOLOX (2021), without normalisation of the input as of its release 0.1.1. mmdetection trained on BGR
photos, so the colour order is BGR here and RGB for the pose network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from model.estimators.base import Array
from model.estimators.batching import run_in_batches
from model.estimators.dwpose.sessions import OnnxNetwork

STRIDES = (8, 16, 32)
"""Photo px a cell, of the three levels."""
PAD_VALUE = 114
"""Grey of the letterbox."""
PERSON = 0
"""Class of people in COCO-80."""
NUM_COLUMNS = 85
"""Centre x and y, log width and height, objectness, 80 classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class YoloxConfig:
    """Settings of the person finder; the defaults are those of DWPose's own program."""

    min_score: float = 0.3
    """Objectness x class score that a person needs."""
    max_overlap: float = 0.45
    """Intersection over union above which the lower of two boxes is dropped."""

    def __post_init__(self) -> None:
        for name in ("min_score", "max_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"detector {name} must lie in 0..1, got {getattr(self, name)}")


def shrink(rgb: Array, size: tuple[int, int]) -> float:
    """Returns the factor from photo px to canvas px at which a photo (H, W, 3) just fits a canvas (w, h)."""
    return min(size[0] / rgb.shape[1], size[1] / rgb.shape[0])


def letterbox(rgb: Array, size: tuple[int, int]) -> tuple[Array, float]:
    """Shrinks or enlarges a photo into the top-left corner of a grey canvas, and turns it to BGR.

    Args:
        rgb: (H, W, 3) uint8.
        size: Width and height of the canvas.

    Returns:
        The canvas (h, w, 3) uint8 BGR, and the factor from photo px to canvas px.
    """
    height, width = rgb.shape[:2]
    factor = shrink(rgb, size)
    inner = (max(int(width * factor), 1), max(int(height * factor), 1))
    canvas = np.full((size[1], size[0], 3), PAD_VALUE, np.uint8)
    scaled = rgb if inner == (width, height) else cv2.resize(rgb, inner, interpolation=cv2.INTER_LINEAR)
    canvas[: inner[1], : inner[0]] = cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR)
    return canvas, factor


def cells(size: tuple[int, int]) -> tuple[Array, Array]:
    """Returns the corners (A, 2) of all anchor cells, in cells, and their strides (A, 1), in px."""
    corners, strides = [], []
    for stride in STRIDES:
        columns, rows = np.meshgrid(np.arange(size[0] // stride), np.arange(size[1] // stride))
        corners.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((columns.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def suppress(boxes: Array, scores: Array, max_overlap: float) -> Array:
    """Non-maximum suppression.

    Args:
        boxes: (P, 4) xyxy.
        scores: (P,).
        max_overlap: Intersection over union above which the lower of two boxes is dropped.

    Returns:
        Indices to keep, best first; of equal scores the first one wins.
    """
    order = np.argsort(-scores, kind="stable")
    area = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        inner = np.maximum(high - low, 0).prod(1)
        order = order[inner <= max_overlap * (area[best] + area[order] - inner)]
    return np.array(keep, dtype=int)


def people_of(raw: Array, size: tuple[int, int], config: YoloxConfig) -> tuple[Array, Array]:
    """Reads people from the detector's output.

    Classes other than people are dropped before the suppression, and scores below the limit too: suppression is within
    a class and from the best score down, so neither changes what is left.

    Args:
        raw: (A, 6 or more) of one photo, the columns up to the score of people.
        size: Width and height of the canvas.
        config: Limits.

    Returns:
        Boxes (P, 4) in canvas px, best first, and scores (P,).
    """
    scores = raw[:, 4] * raw[:, 5 + PERSON]
    candidates = np.flatnonzero(scores > config.min_score)
    corners, strides = (table[candidates] for table in cells(size))
    with np.errstate(over="ignore"):
        half = np.exp(raw[candidates, 2:4]) * strides / 2
    centre = (raw[candidates, :2] + corners) * strides
    boxes, scores = np.concatenate([centre - half, centre + half], axis=1), scores[candidates]
    finite = np.isfinite(boxes).all(1)
    boxes, scores = boxes[finite], scores[finite]
    keep = suppress(boxes, scores, config.max_overlap)
    return boxes[keep], scores[keep]


class PersonDetector:
    """Finds people in photos."""

    def __init__(self, network: OnnxNetwork, config: YoloxConfig) -> None:
        """Checks that the network is a YOLOX of COCO-80.

        Raises:
            ValueError: Another output than (N, A, 85).
        """
        self._network, self._config = network, config
        self._num_cells = len(cells(network.input_size)[0])
        shapes = network.output_shapes
        wanted = (self._num_cells, NUM_COLUMNS)
        fits = len(shapes) == 1 and len(shapes[0]) == 3
        if not fits or any(got not in (None, want) for got, want in zip(shapes[0][1:], wanted, strict=True)):
            raise network.mismatch(f"its outputs are {shapes}, expected one of (N, {wanted[0]}, {wanted[1]})")

    def detect(self, images: Sequence[Array], batch_size: int) -> list[tuple[Array, Array]]:
        """Finds the people of each photo.

        Args:
            images: (H, W, 3) uint8 RGB each, at least one.
            batch_size: Photos a run.

        Returns:
            Boxes (P, 4) xyxy in photo px, best first, and scores (P,) of each photo; P may be 0.
        """
        size = self._network.input_size

        def canvas(rgb: Array) -> Array:
            return letterbox(rgb, size)[0].transpose(2, 0, 1).astype(np.float32)

        raw = run_in_batches(images, canvas, self._infer, batch_size)["raw"]
        found = [people_of(one, size, self._config) for one in raw]
        return [(boxes / shrink(rgb, size), scores) for (boxes, scores), rgb in zip(found, images, strict=True)]

    def _infer(self, canvases: Array) -> dict[str, Array]:
        raw = self._network.run(canvases)[0]
        if raw.shape[1:] != (self._num_cells, NUM_COLUMNS):
            raise self._network.mismatch(f"it gave {raw.shape}, expected (N, {self._num_cells}, {NUM_COLUMNS})")
        return {"raw": raw[..., : 6 + PERSON].copy()}  # without the other classes a shard's outputs stay small
