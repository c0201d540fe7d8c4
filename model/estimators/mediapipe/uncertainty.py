"""How far a keypoint may be off, and which parts are trusted.

The coefficients were fitted on annotated people: the spread under other regions and the network's visibility predict
the error. All shares are of the person's size S, the longer side of the box or 0.64 of the pose region.
"""

from __future__ import annotations

import numpy as np

from model.body.skeleton import BODY_AND_FEET, BODY_GROUPS, CONTOUR, FACE, HANDS, NUM_KEYPOINTS
from model.estimators.base import Array
from model.estimators.mediapipe.landmarks import POSE_OF_BODY, SMALL_TOES
from model.estimators.refusals import LimbDetails
from model.imaging.boxes import longer_side, score_from_sigma

REGION_SHARE = 0.64
"""Size of a person as a share of the side of the pose region."""
BASE_SHARE, SPREAD_FACTOR, HIDDEN_SHARE = 0.012, 1.06, 0.045
"""sigma^2 = (base S)^2 + (factor spread)^2 + (hidden S (1 - visibility))^2."""
MIN_VISIBILITY = 0.1
"""Points below are not seen."""
MAX_SPREAD = 0.06
"""Points that spread more are not seen."""
TRUSTED_SPREAD, TRUSTED_SPREAD_TRUNK = 0.018, 0.0216
"""Largest spread of a trusted limb, and of the head and the trunk."""
TRUSTED_VISIBILITY = 0.3

FLOOR_SHARE = np.full(23, 0.02)
FLOOR_SHARE[:5] = 0.012
FLOOR_SHARE[[5, 6, 11, 12]] = 0.014
FLOOR_SHARE[13:23] = 0.025
"""Least sigma of the body and foot points: where a joint lies under the skin is a matter of opinion.
Shoulders and hips have an offset of their own (`model.estimators.surface`), so that little of that remains."""


def person_size_px(boxes_xyxy: Array, region_side_px: Array) -> Array:
    """Size S (P,) of people from boxes (P, 4) and sides of their pose regions (P,)."""
    return np.fmax(longer_side(boxes_xyxy), REGION_SHARE * region_side_px)


def is_inside(points: Array, width: int, height: int, margin: float = 0.02) -> Array:
    """Whether (..., 2+) points lie in the photo, with a margin in shares of its sides."""
    x, y = points[..., 0], points[..., 1]
    return (x > -margin * width) & (x < (1 + margin) * width) & (y > -margin * height) & (y < (1 + margin) * height)


def body_points(pose: Array, spread_px: Array, size_px: float, width: int, height: int) -> tuple[Array, Array, Array]:
    """Returns body and foot keypoints of one person.

    Args:
        pose: (33, 5) landmarks.
        spread_px: (33,).
        size_px: Size S of the person.
        width: Of the photo, px.
        height: Of the photo, px.

    Returns:
        Points (23, 2), sigma (23,) inf where not seen, and sigma without the floors (23,).
    """
    landmarks, spread = pose[POSE_OF_BODY], spread_px[POSE_OF_BODY]
    visibility = landmarks[:, 3]
    raw = np.sqrt(
        (BASE_SHARE * size_px) ** 2 + (SPREAD_FACTOR * spread) ** 2 + (HIDDEN_SHARE * size_px * (1 - visibility)) ** 2
    )
    seen = (visibility > MIN_VISIBILITY) & (spread < MAX_SPREAD * size_px) & is_inside(landmarks, width, height)
    seen[list(SMALL_TOES)] = False
    sigma = np.where(seen, np.maximum(raw, FLOOR_SHARE * size_px), np.inf)
    return landmarks[:, :2], sigma, np.where(seen, raw, np.inf)


def face_sigma(points: Array) -> Array:
    """Sigma (68,) of accepted face keypoints (68, 2)."""
    size = float(np.hypot(*np.ptp(points, axis=0)))
    sigma = np.full(FACE.stop - FACE.start, 0.018 * size + 0.5)
    sigma[: CONTOUR.stop - CONTOUR.start] = 0.06 * size
    return sigma


def hand_sigma(points: Array) -> Array:
    """Sigma (21,) of accepted hand keypoints (21, 2)."""
    size = float(np.hypot(*np.ptp(points, axis=0)))
    sigma = np.full(len(points), 0.04 * size + 0.5)
    sigma[0] = 0.08 * size
    return sigma


def limb_details(pose: Array, spread_px: Array, size_px: float, width: int, height: int) -> LimbDetails:
    """What is said against each of ``BODY_GROUPS``: too much spread, hidden or outside the photo; None if trusted."""
    out: list[str | None] = []
    for name, members in BODY_GROUPS.items():
        points = POSE_OF_BODY[list(members)]
        limit = TRUSTED_SPREAD_TRUNK if name in ("head", "torso") else TRUSTED_SPREAD
        spread, visibility = float(spread_px[points].max()), float(pose[points, 3].min())
        outside = int((~is_inside(pose[points], width, height, 0.0)).sum())
        if outside:
            out.append(f"{outside} of {len(points)} points outside the photo, allowed 0")
        elif not visibility > TRUSTED_VISIBILITY:
            out.append(f"visibility {visibility:.2f}, needed {TRUSTED_VISIBILITY}")
        elif not spread < limit * size_px:
            out.append(f"spread {100 * spread / size_px:.2f} % of the person, allowed {100 * limit:.2f} %")
        else:
            out.append(None)
    return tuple(out)


def is_pose_usable(details: LimbDetails) -> bool:
    """Whether a pose is good for anything: the trunk or the head, and half of the limbs, see ``limb_details``."""
    return (details[0] is None or details[1] is None) and details.count(None) >= 3


def assemble(
    body: tuple[Array, Array, Array],
    face: Array | None,
    hands: tuple[Array | None, Array | None],
    box_side_px: float,
) -> tuple[Array, Array]:
    """Joins the parts of one person.

    Args:
        body: Result of ``body_points``.
        face: (68, 2) accepted face points or None.
        hands: (21, 2) accepted points or None, left and right.
        box_side_px: Longer side of the person's box.

    Returns:
        Keypoints (133, 3) with scores, and sigma_px (133,).
    """
    points = np.zeros((NUM_KEYPOINTS, 2))
    sigma = np.full(NUM_KEYPOINTS, np.inf)
    raw = np.full(NUM_KEYPOINTS, np.inf)
    points[BODY_AND_FEET], sigma[BODY_AND_FEET], raw[BODY_AND_FEET] = body
    if face is not None:
        points[FACE] = face
        sigma[FACE] = raw[FACE] = face_sigma(face)
        head_floor = 0.05 * float(np.hypot(*np.ptp(points[FACE], axis=0)))
        sigma[:5] = np.maximum(sigma[:5], head_floor)
    for side, hand in enumerate(hands):
        if hand is not None:
            points[HANDS[side]] = hand
            sigma[HANDS[side]] = raw[HANDS[side]] = hand_sigma(hand)
            wrist = 9 + side
            sigma[wrist] = max(sigma[wrist], 0.1 * float(np.hypot(*np.ptp(hand, axis=0))))
    seen = np.isfinite(sigma)
    points[~seen] = 0
    scores = np.where(seen, score_from_sigma(np.where(seen, raw, 1.0), box_side_px), 0.0)
    return np.column_stack([points, scores]), sigma
