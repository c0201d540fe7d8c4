"""What keypoint backends refuse alike, with the figure that was measured and the one that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.skeleton import BODY, BODY_GROUPS, FACE, HANDS
from model.estimators.base import Array
from model.imaging.boxes import box_area, box_problem, intersection_area

NOT_FINITE = Refusal(ErrorCode.ESTIMATOR_REFUSED, "the network gave a value that is not finite")
TRUNK = (5, 6, 11, 12)
"""Shoulders and hips."""
MIN_BODY_POINTS, MIN_TRUNK_POINTS, MIN_FACE_POINTS, MIN_HAND_POINTS = 4, 2, 20, 4
"""Points below which a part is not trusted; a person with fewer body points cannot be fitted at all."""
MIN_GROUPS = 4
"""Trusted limbs of a trusted body, the trunk among them. Of 55 rendered people, those with all six trusted were off by
49 mm (PA-MPJPE) on average, with five by 75 mm, with three by 93 mm."""
MAX_OVERLAP = 0.5
"""Share of a box that may lie in another person's."""
COMPARABLE_AREA = 0.3
"""Area ratio above which an overlap refuses both people, else only the smaller one."""

PartDetails = tuple[str | None, ...]
"""Body, left hand, right hand, face: what was measured of one that is not trusted, None for a trusted one."""
LimbDetails = tuple[str | None, ...]
"""The same of the six ``BODY_GROUPS``."""


def details_by_count(seen: Array, word: str = "seen") -> PartDetails:
    """What parts lack to be trusted, by counts of points.

    Args:
        seen: (133,) bool.
        word: What is said of such a point.
    """
    counted = (
        ("body", seen[BODY], MIN_BODY_POINTS),
        *(("hand", seen[hand], MIN_HAND_POINTS) for hand in HANDS),
        ("face", seen[FACE], MIN_FACE_POINTS),
    )
    details = [
        None if own.sum() >= least else f"{own.sum()} {part} points {word}, needed {least}"
        for part, own, least in counted
    ]
    trunk = int(seen[list(TRUNK)].sum())
    if details[0] is None and trunk < MIN_TRUNK_POINTS:
        details[0] = f"{trunk} of shoulders and hips {word}, needed {MIN_TRUNK_POINTS}"
    return tuple(details)


def limb_details_by_count(seen: Array, word: str = "seen") -> LimbDetails:
    """What is said against limbs of which no point among (133,) is seen; None for the others."""
    return tuple(
        None if seen[list(points)].any() else f"0 of {len(points)} points {word}" for points in BODY_GROUPS.values()
    )


def detail_of_limbs(details: Sequence[str | None]) -> str | None:
    """What a body lacks whose six ``BODY_GROUPS`` are trusted or not: the trunk, or enough of the others.

    Args:
        details: What is said against each limb, None for a trusted one.
    """
    torso, kept = list(BODY_GROUPS).index("torso"), sum(detail is None for detail in details)
    if details[torso] is not None:
        return f"trunk: {details[torso]}"
    if kept >= MIN_GROUPS:
        return None
    named = zip(BODY_GROUPS, details, strict=True)
    lost = "; ".join(f"{name.replace('_', ' ')}: {detail}" for name, detail in named if detail is not None)
    return f"{kept} of {len(details)} limbs trusted, needed {MIN_GROUPS} ({lost})"


def trusted_parts(details: Sequence[PartDetails]) -> Array:
    """(P, 4) which parts nothing is said against."""
    return np.array([[detail is None for detail in row] for row in details], dtype=bool).reshape(-1, 4)


def refusals(valid: Sequence[bool] | Array, reasons: Sequence[Refusal | None], code: ErrorCode) -> list[Refusal | None]:
    """Why each of P people, or parts, is not valid, None for a valid one.

    Args:
        valid: (P,).
        reasons: (P,) what the estimator said.
        code: Of those about which it said nothing.
    """
    unsaid = Refusal(code, code.sentence)
    return [None if good else reason or unsaid for good, reason in zip(valid, reasons, strict=True)]


def refused(detail: str | None) -> Refusal | None:
    """The refusal of a part that was found and is not trusted, or None where nothing is said against it."""
    return None if detail is None else Refusal(ErrorCode.ESTIMATOR_REFUSED, detail)


def few_keypoints(sigma_px: Array) -> Refusal | None:
    """The refusal of a person with too few body points among (133,) whose sigma is inf where not seen."""
    count = int(np.isfinite(sigma_px[BODY]).sum())
    if count >= MIN_BODY_POINTS:
        return None
    return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, f"{count} body points seen, needed {MIN_BODY_POINTS}")


def refused_boxes(boxes_xyxy: Array, width: int, height: int) -> list[Refusal | None]:
    """The refusal of each box (P, 4) that cannot be used in a photo, None for the others."""
    problems = [box_problem(box, width, height) for box in boxes_xyxy]
    return [None if problem is None else Refusal(ErrorCode.BOX_INVALID, problem) for problem in problems]


def overlapped(boxes_xyxy: Array) -> list[Refusal | None]:
    """The refusal of the body in each box (P, 4) of which too much lies in another's; None for the others.

    Limbs could be mixed up there; hands and faces cannot. Of people of very different size only the smaller one counts
    as overlapped.
    """
    out: list[Refusal | None] = [None] * len(boxes_xyxy)
    areas = [box_area(box) for box in boxes_xyxy]
    for i in range(len(boxes_xyxy)):
        for j in range(len(boxes_xyxy)):
            is_smaller = areas[i] < areas[j] or (areas[i] == areas[j] and i > j)
            shared = intersection_area(boxes_xyxy[i], boxes_xyxy[j])
            if i == j or not is_smaller or shared <= MAX_OVERLAP * areas[i]:
                continue
            share, allowed = f"{shared / areas[i]:.0%}", f"allowed {MAX_OVERLAP:.0%}"
            out[i] = Refusal(ErrorCode.PERSON_OVERLAPPED, f"{share} of the box lie in another person's, {allowed}")
            if areas[i] > COMPARABLE_AREA * areas[j]:
                said = f"{share} of another person's box lie in this one's, {allowed}"
                out[j] = Refusal(ErrorCode.PERSON_OVERLAPPED, said)
    return out
