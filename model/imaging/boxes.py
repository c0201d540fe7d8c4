"""Boxes of people: areas, overlaps and what makes a box unusable. Convention: xyxy in px."""

from __future__ import annotations

import numpy as np

MIN_SIDE_PX = 4
"""Sides below, inside the photo, leave nothing to read."""
NEAR_SHARE = 0.05
"""The score of a keypoint is the probability that its error is below this share of the box's longer side."""


def box_area(box: np.ndarray) -> float:
    """Area of a box (4,), square px."""
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def intersection_area(a: np.ndarray, b: np.ndarray) -> float:
    """Area shared by two boxes (4,), square px."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(max(width, 0) * max(height, 0))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    inner = intersection_area(a, b)
    union = box_area(a) + box_area(b) - inner
    return inner / union if union > 0 else 0.0


def longer_side(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Longer side (P,) of boxes (P, 4), px."""
    boxes_xyxy = np.asarray(boxes_xyxy).reshape(-1, 4)
    return (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(1, initial=-np.inf) if len(boxes_xyxy) else np.zeros(0)


def box_problem(box: np.ndarray, width: int, height: int) -> str | None:
    """What is wrong with a box (4,) that is not finite, too small or outside the photo; None for a usable one."""
    if not np.all(np.isfinite(box)):
        return "the box is not finite"
    inside = np.clip(box, 0, [width, height, width, height])
    sides = inside[2:] - inside[:2]
    if min(sides) >= MIN_SIDE_PX:
        return None
    held = f"{max(sides[0], 0):.0f} x {max(sides[1], 0):.0f} px"
    return f"{held} of the box lie inside the photo of {width} x {height}, needed {MIN_SIDE_PX} a side"


def score_from_sigma(sigma_px: np.ndarray, box_side_px: np.ndarray | float) -> np.ndarray:
    """Probability that a 2D normal error of standard deviation ``sigma_px`` an axis is below 5 % of the box."""
    with np.errstate(divide="ignore"):
        return 1 - np.exp(-0.5 * (NEAR_SHARE * np.asarray(box_side_px) / sigma_px) ** 2)
