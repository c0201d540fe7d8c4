"""How far the keypoints of labels are from those that people annotated, and whether the right parts were accepted.

Legend: P people, each a label with the known person that it is of (``tasks.evaluate.matching``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.schema.columns import Columns
from model.body import skeleton
from model.estimators.annotations import is_possible
from tasks.evaluate.matching import Matching

WRONG_REL = 0.07
"""A part whose worst point is further off, as a fraction of the box's longer side, is wrong."""
CLAIMED = ("left_hand", "right_hand", "face")
"""Parts whose 3D errors count only where the label calls them valid; a body always counts."""
MEASURED_POINTS = {
    "body": skeleton.BODY,
    "feet": skeleton.FEET,
    "face": skeleton.FACE,
    "left_hand": skeleton.LEFT_HAND,
    "right_hand": skeleton.RIGHT_HAND,
}
"""Keypoints of what is told apart."""


def keypoint_errors(matching: Matching, projected: np.ndarray) -> dict[str, np.ndarray]:
    """2D errors of the labels' projected keypoints against annotated ones, as a fraction of the box's longer side.

    Args:
        matching: P labels with the annotated people.
        projected: (P, 133, 2) px.

    Returns:
        For the P matched people with annotated keypoints `<part>_rel` (P,), the median over the annotated points of a
        part, and `<part>_worst_rel` (P,), the largest; NaN for a part without such points. Empty without such people.
    """
    people = [
        _annotated(person, points, size)
        for person, points, size in zip(matching.people, projected, _sizes(matching.labels), strict=True)
        if is_annotated(person)
    ]
    if not people:
        return {}
    errors = {}
    for part, points in MEASURED_POINTS.items():
        own = [distance[points][seen[points]] for distance, seen in people]
        errors[f"{part}_rel"] = np.array([np.median(values) if values.size else np.nan for values in own])
        errors[f"{part}_worst_rel"] = np.array([values.max() if values.size else np.nan for values in own])
    return errors


def is_annotated(person: PersonRecord) -> bool:
    return person.keypoints is not None and person.bbox_xyxy is not None


def _sizes(labels: Columns) -> np.ndarray:
    """(P, 2) width and height of the photos, px."""
    return np.stack([labels["image_width"], labels["image_height"]], axis=1)


def _annotated(person: PersonRecord, projected: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (133,) of points (133, 2) to the annotated ones, as a fraction of the box's longer side, and which are
    annotated; what the estimator takes for a slip of the annotation is not."""
    assert person.keypoints is not None
    box = np.asarray(person.bbox_xyxy, np.float64)
    side = max(box[2] - box[0], box[3] - box[1])
    distance = np.linalg.norm(projected - person.keypoints[:, :2], axis=-1) / side
    return distance, (person.keypoints[:, 2] > 0) & is_possible(person.keypoints[:, :2], box, *size)


def _annotated_parts(annotated: np.ndarray) -> dict[str, np.ndarray]:
    """Annotated points of each part that has some, by (133,) which are."""
    points = np.arange(len(annotated))
    parts = {part: points[list(members)] for part, members in skeleton.BODY_GROUPS.items()}
    parts |= {part: points[MEASURED_POINTS[part]] for part in CLAIMED}
    return {part: index[annotated[index]] for part, index in parts.items() if annotated[index].any()}


def count_parts(people: Iterable[PersonRecord]) -> int:
    """How many parts of some people are annotated, found or not; see ``acceptance``."""
    return sum(
        len(_annotated_parts(person.keypoints[:, 2] > 0))
        for person in people
        if person.keypoints is not None and is_annotated(person)
    )


def acceptance(matching: Matching, projected: np.ndarray) -> Counter[str]:
    """How often a part was accepted, and how often an accepted one is wrong, against annotated keypoints.

    A part (head, torso, arms, legs, face, hands) counts where at least one of its points is annotated. It is wrong if
    its worst annotated point lies more than ``WRONG_REL`` of the box's longer side away.

    Args:
        matching: P labels with the annotated people.
        projected: (P, 133, 2) px.

    Returns:
        Numbers of ``parts``, ``accepted``, ``accepted_wrong`` and ``refused_right``.
    """
    counts: Counter[str] = Counter()
    labels = matching.labels
    sizes = _sizes(labels)
    for row, person in enumerate(matching.people):
        if not is_annotated(person):
            continue
        distance, annotated = _annotated(person, projected[row], sizes[row])
        accepted = dict(zip(skeleton.BODY_GROUPS, labels["body_group_valid"][row], strict=True))
        accepted |= {part: labels[f"{part}_valid"][row] for part in CLAIMED}
        for part, seen in _annotated_parts(annotated).items():
            wrong = distance[seen].max() > WRONG_REL
            counts["parts"] += 1
            counts["accepted"] += bool(accepted[part])
            counts["accepted_wrong"] += bool(accepted[part] and wrong)
            counts["refused_right"] += bool(not accepted[part] and not wrong)
    return counts
