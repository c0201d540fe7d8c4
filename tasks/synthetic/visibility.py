"""What of a rendered person the camera sees.

Visibility of a true keypoint is what a human annotator would mark: 0 outside the image or behind an occluder; 1 for
body and feet even behind the person's own limbs; nose, eyes and ears only where the camera sees them; the points of a
face or hand if the camera sees at least half of them, else none.
"""

import cv2
import numpy as np

from model.body.skeleton import HANDS_AND_FACE
from model.renderer.raster import Raster

SEEN_SHARE = 0.5
"""Share of a face's or hand's points the camera must see for the part to count as annotated."""
SKIN_TOLERANCE_M = 0.02
"""A point this far behind the nearest surface still counts as seen: knuckles lie under the skin."""


def mask_box(mask: np.ndarray) -> np.ndarray:
    """(4,) left, top, right, bottom of a mask's pixels, px; right and bottom are the far edges of the last pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def keypoint_visibility(
    points_m: np.ndarray, pixels: np.ndarray, raster: Raster, supersample: int, covered: np.ndarray
) -> np.ndarray:
    """Visibility (133,) 0 or 1 as described at the top of this file.

    Args:
        points_m: (133, 3) keypoints, camera frame.
        pixels: (133, 2) their projections.
        raster: the person, rasterised ``supersample`` times finer than the image.
        supersample: see above.
        covered: (H, W) what the occluder covers.
    """
    height, width = covered.shape
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    cell = np.clip(np.floor(np.where(inside[:, None], pixels, 0)).astype(int), 0, [width - 1, height - 1])
    free = inside & ~covered[cell[:, 1], cell[:, 0]]
    # The farthest surface next to the point, since one on the outline must not be hidden by its own neighbour.
    farthest = cv2.dilate(np.where(raster.mask, raster.depth, 0.0).astype(np.float32), np.ones((3, 3), np.uint8))
    farthest[~raster.mask] = np.inf
    fine = np.clip(np.floor(np.where(inside[:, None], pixels, 0) * supersample).astype(int), 0, None)
    facing = free & (points_m[:, 2] < farthest[fine[:, 1], fine[:, 0]] + SKIN_TOLERANCE_M)
    seen = free.copy()
    seen[:5] = facing[:5]
    for part in HANDS_AND_FACE:
        if facing[part].mean() < SEEN_SHARE:
            seen[part] = False
    return seen.astype(np.float32)
