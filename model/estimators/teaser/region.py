"""The square of a photo that a face is cut from, by the 68 face points of the keypoint stage.

The box of the points lacks the forehead: hence the side of 1.75 box sides and the shift upwards by a tenth of the side,
as EHM-Tracker cuts faces for TEASER from points of this kind. The square leans with the face, from between the eyes to
the middle of the mouth; its roll goes back into the head's orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.skeleton import FACE
from model.estimators.base import Array
from model.imaging.squares import Square

EYES, MOUTH = slice(36, 48), slice(48, 68)
"""Points of both eyes and of the lips among the 68."""
MIN_AXIS_POINTS = 4
"""Points of the eyes, and of the mouth, below which the lean of the face is not known."""
MIN_BOX_PX = 8.0
"""Longer side of the points' box below which there is no face to read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionConfig:
    """How faces are cut out."""

    size_factor: float = 1.75
    """Side of the square in longer sides of the points' box."""
    shift_up: float = 0.1
    """Shift towards the forehead as a share of the square's side."""
    align_roll: bool = True
    """Lean the square with the face; TEASER's own script does not."""
    min_points: int = 20
    """Seen face points below which there is no face."""
    min_score: float = 0.3
    """Score (0..1) from which a point counts as seen."""

    def __post_init__(self) -> None:
        if not self.size_factor > 0:
            raise ValueError(f"face region: size_factor must be positive, got {self.size_factor}")
        if not 2 <= self.min_points <= 68:
            raise ValueError(f"face region: min_points must lie in 2..68, got {self.min_points}")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"face region: min_score must lie in 0..1, got {self.min_score}")


def face_lean(points: Array, seen: Array) -> float:
    """Roll of a face (68, 2), seen (68,): angle of the way from eyes to mouth against straight down, else 0."""
    if min(seen[EYES].sum(), seen[MOUTH].sum()) < MIN_AXIS_POINTS:
        return 0.0
    x, y = points[MOUTH][seen[MOUTH]].mean(0) - points[EYES][seen[EYES]].mean(0)
    return math.atan2(-x, y)


def face_square(keypoints: Array, config: RegionConfig) -> Square | Refusal:
    """Returns where to cut the face of one person out, or what its points lack.

    Args:
        keypoints: (133, 3) x, y in px and score 0..1.
        config: Margins and limits.
    """
    face = np.asarray(keypoints, dtype=float)[FACE]
    seen = np.isfinite(face).all(1) & (face[:, 2] >= config.min_score) & (face[:, 2] > 0)
    if seen.sum() < config.min_points:
        said = f"{seen.sum()} face points score {config.min_score:g} or more, needed {config.min_points}"
        return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, said)
    points = face[:, :2]
    roll = face_lean(points, seen) if config.align_roll else 0.0
    cosine, sine = math.cos(roll), math.sin(roll)
    photo_from_square = np.array([[cosine, -sine], [sine, cosine]])
    turned = points[seen] @ photo_from_square
    low, high = turned.min(0), turned.max(0)
    box_side = float((high - low).max())
    if box_side < MIN_BOX_PX:
        return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, f"face {box_side:.1f} px large, needed {MIN_BOX_PX:.0f}")
    side = config.size_factor * box_side
    x, y = photo_from_square @ ((low + high) / 2 - [0, config.shift_up * side])
    return Square(centre_px=(float(x), float(y)), side_px=side, roll_rad=roll)
