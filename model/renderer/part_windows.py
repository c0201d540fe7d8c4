"""Where the pictures of head and hands lie: squares around the keypoints of a part, and how far a prediction is off.

Works in any plane: px of a photo, or sides of a crop. Legend: B people.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND

Part = Literal["head", "left_hand", "right_hand"]
PARTS: tuple[Part, ...] = get_args(Part)
"""What has a picture of its own."""
KEYPOINTS: dict[Part, slice] = {"head": FACE, "left_hand": LEFT_HAND, "right_hand": RIGHT_HAND}
"""Among the 133 of COCO-WholeBody."""
MARGIN: dict[Part, float] = {"head": 2.0, "left_hand": 1.5, "right_hand": 1.5}
"""Side of a picture, by the longer side of the box of its keypoints: points of a face leave out the crown."""
SEEN_SHARE = 0.6
"""Of how many of its keypoints must be seen for a part to have a picture."""


def part_window(keypoints: np.ndarray, part: Part) -> np.ndarray | None:
    """Centre and side (3,) of the square of a part; None if too little of the part is seen.

    Args:
        keypoints: (133, 3) x, y and a score; 0 is not seen.
        part: Which.
    """
    points = keypoints[KEYPOINTS[part]]
    seen = points[points[:, 2] > 0, :2]
    if len(seen) < SEEN_SHARE * len(points):
        return None
    low, high = seen.min(0), seen.max(0)
    side = MARGIN[part] * (high - low).max()
    return np.array([*(low + high) / 2, side], np.float32) if side > 0 else None


def off_share(projected: Tensor, observed: Tensor, part: Part, side: Tensor) -> Tensor:
    """Mean distance of a part's keypoints from where they are seen (B,), as a share of the side of its square.

    Args:
        projected: (B, 133, 2).
        observed: (B, 133, 3) with a score; what is not seen does not count.
        part: Which.
        side: (B,) of the squares, in the unit of the points.
    """
    points = KEYPOINTS[part]
    distance = (projected[:, points] - observed[:, points, :2]).norm(dim=-1)
    seen = observed[:, points, 2] > 0
    mean = torch.where(seen, distance, 0.0).sum(1) / seen.sum(1).clamp(min=1)
    return mean / side
