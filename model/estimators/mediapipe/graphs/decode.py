"""What the numbers of MediaPipe's networks mean: the calculators of its graphs, in numpy.

Everything is float32 and in shares of the square crop, as there.
"""

from __future__ import annotations

import numpy as np

from model.estimators.base import Array
from model.imaging.boxes import overlap

MERGE_OVERLAP = 0.3
"""Intersection over union above which two boxes are one detection."""
HEAT_REACH = 3
"""Cells of the heat map on each side of a landmark that move it."""
MIN_HEAT = 0.5
"""Probability that one of those cells needs."""


def logistic(values: Array) -> Array:
    """Probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))


def anchor_centres(side: int, cells: tuple[tuple[int, int], ...]) -> Array:
    """Returns the (N, 2) centres of a detector's anchors.

    Args:
        side: Of its input, px.
        cells: Stride in px and number of anchors a cell, of each layer.
    """
    layers = []
    for stride, count in cells:
        steps = (np.arange(side // stride, dtype=np.float32) + 0.5) / (side // stride)
        y, x = np.meshgrid(steps, steps, indexing="ij")
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0))
    return np.concatenate(layers)


def detections(raw: Array, logits: Array, centres: Array, side: int, min_score: float) -> list[tuple[float, Array]]:
    """Returns score and (2 + K, 2) points of every detection, best first: the box's two corners, then its keypoints.

    Boxes that overlap become one, the mean weighted by their scores.

    Args:
        raw: (N, 4 + 2 K) centre, size and keypoints against the anchors, px of the input.
        logits: (N,) of the scores.
        centres: (N, 2) of the anchors.
        side: Of the input, px.
        min_score: Least score of a box.
    """
    scores = logistic(logits)
    chosen = np.flatnonzero(scores >= min_score)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    pairs = (raw / side).reshape(len(raw), -1, 2)[chosen]
    centre, half = pairs[:, 0] + centres[chosen], pairs[:, 1] / 2
    keypoints = pairs[:, 2:] + centres[chosen, None]
    points = np.concatenate([(centre - half)[:, None], (centre + half)[:, None], keypoints], axis=1)
    weights = scores[chosen]
    is_box = np.all(half >= 0, axis=1)
    points, weights = points[is_box], weights[is_box]
    found = []
    while len(points):
        boxes = points[:, :2].reshape(-1, 4)
        same = np.array([True, *(overlap(boxes[0], box) > MERGE_OVERLAP for box in boxes[1:])])
        mean = (points[same] * weights[same, None, None]).sum(0) / weights[same].sum()
        found.append((float(weights[0]), mean))
        points, weights = points[~same], weights[~same]
    return found


def moved_to_heat(points: Array, heat_logits: Array) -> Array:
    """Returns (N, 2+) points whose x and y are the centre of the heat around them, where there is enough.

    Args:
        points: x and y in shares of the crop.
        heat_logits: (H, W, N) heat map of each point.
    """
    height, width = heat_logits.shape[:2]
    moved = points.copy()
    cells = (points[:, :2] * [width, height]).astype(int)
    for i, (x, y) in enumerate(cells.tolist()):
        if not (0 <= x < width and 0 <= y < height):
            continue
        left, top = max(x - HEAT_REACH, 0), max(y - HEAT_REACH, 0)
        heat = logistic(heat_logits[top : y + HEAT_REACH + 1, left : x + HEAT_REACH + 1, i])
        if heat.max() < MIN_HEAT:
            continue
        rows, columns = np.arange(heat.shape[0]) + top, np.arange(heat.shape[1]) + left
        total = heat.sum()
        moved[i, 0] = (heat.sum(0) @ columns) / total / width
        moved[i, 1] = (heat.sum(1) @ rows) / total / height
    return moved
