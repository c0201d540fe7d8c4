"""How good labels are, where the data set knows better: 3D truth of synthetic people, 2D annotations of real ones.

Legend: P people. A label and a known person of one photo belong together if their boxes overlap most, and by more than
``MIN_IOU``; the rest are misses and false finds, which are counted, not averaged away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from datasets_manifest.adapters.base import ImageRecord, Inventory, PersonRecord
from datasets_manifest.adapters.registry import adapter_class
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import Status
from model.body.ehms import EhmOutput, EHMs
from model.body.skeleton import BODY, BODY_GROUPS, FACE, FEET, LEFT_HAND, RIGHT_HAND
from model.metrics.person import PosedPeople, person_errors
from model.metrics.summary import means_and_medians
from model.rotations import rotvec_to_rotmat
from tasks.posing import pose_bodies

Row = Mapping[str, Any]
MIN_IOU = 0.3
"""Smallest overlap of the boxes of one and the same person."""
WRONG_REL = 0.07
"""A part whose worst point is further off, as a fraction of the box's longer side, is wrong."""
_CLAIMED = ("left_hand", "right_hand", "face")
"""Parts whose 3D errors count only where the label calls them valid; a body always counts."""
PART_POINTS = {"body": BODY, "feet": FEET, "face": FACE, "left_hand": LEFT_HAND, "right_hand": RIGHT_HAND}
"""Keypoints of each part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """Labels and known people of a data set, brought together."""

    pairs: tuple[tuple[Row, PersonRecord], ...]
    """A label that did not fail, and the person it is of."""
    num_known: int
    """People that the data set knows."""
    num_labels: int
    """Labels that did not fail."""


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of (P, 4) and (Q, 4) xyxy boxes, as (P, Q)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def match_people(rows: Sequence[Row], records: Iterable[ImageRecord]) -> Matching:
    """Brings labels and known people of each photo together, by the assignment of largest overlap."""
    by_image: dict[str, list[Row]] = {}
    labels = [row for row in rows if row["status"] != Status.FAILED and row["bbox_xyxy"] is not None]
    for row in labels:
        by_image.setdefault(row["image"], []).append(row)
    pairs: list[tuple[Row, PersonRecord]] = []
    known = 0
    for record in records:
        people = [person for person in record.people if person.bbox_xyxy is not None and person.error_code is None]
        known += len(people)
        found = by_image.get(record.path, [])
        if not people or not found:
            continue
        iou = box_iou(
            np.array([row["bbox_xyxy"] for row in found], np.float64),
            np.array([person.bbox_xyxy for person in people], np.float64),
        )
        for i, j in zip(*linear_sum_assignment(-iou), strict=True):
            if iou[i, j] >= MIN_IOU:
                pairs.append((found[i], people[j]))
    return Matching(pairs=tuple(pairs), num_known=known, num_labels=len(labels))


def truth_errors(matching: Matching, body: EHMs) -> dict[str, np.ndarray]:
    """3D errors of labels against known truth.

    Returns:
        For the P matched people with truth the errors of ``model.metrics.person``, NaN for hands and heads that the
        label itself does not call valid, and `quality` (P,), NaN where the label has none. Empty without such people.
    """
    pairs = [(row, person.truth) for row, person in matching.pairs if person.truth]
    if not pairs:
        return {}
    rows = [row for row, _ in pairs]
    valid = {part: np.array([row[f"{part}_valid"] for row in rows], np.bool_) for part in _CLAIMED}
    errors = person_errors(_measured(body, rows), _measured(body, [truth for _, truth in pairs]), valid)
    return errors | {"quality": np.array([row["quality"] for row in rows], np.float64)}


def _measured(body: EHMs, rows: Sequence[Row]) -> PosedPeople:
    """What errors of label rows are measured on."""
    out = _posed(body, rows)
    turn, scale = (
        torch.tensor(np.array([np.asarray(row[name]).reshape(3) for row in rows]))
        for name in ("global_orient", "head_scale")
    )
    known = {"global_orient": rotvec_to_rotmat(turn), "head_scale": scale}
    return PosedPeople.of_mesh(out.joints, out.vertices, body.assets, **known)


def _posed(body: EHMs, rows: Sequence[Row]) -> EhmOutput:
    """Bodies of label rows, camera frame, metres."""
    names = [name for name in LABEL_PARAMETERS if all(row.get(name) is not None for row in rows)]
    return pose_bodies(body, {name: np.stack([np.asarray(row[name]).reshape(-1) for row in rows]) for name in names})


def keypoint_errors(matching: Matching, projected: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """2D errors of the labels' projected keypoints against annotated ones, as a fraction of the box's longer side.

    Args:
        matching: Labels with the annotated people.
        projected: sample_id to (133, 2) px.

    Returns:
        For the P matched people with annotated keypoints `<part>_rel` (P,), the median over the annotated points of a
        part, and `<part>_worst_rel` (P,), the largest; NaN for a part without such points. Empty without such people.
    """
    people = [_annotated(row, person, projected) for row, person in matching.pairs if _is_annotated(person)]
    if not people:
        return {}
    errors = {}
    for part, points in PART_POINTS.items():
        own = [distance[points][seen[points]] for distance, seen in people]
        errors[f"{part}_rel"] = np.array([np.median(values) if values.size else np.nan for values in own])
        errors[f"{part}_worst_rel"] = np.array([values.max() if values.size else np.nan for values in own])
    return errors


def _is_annotated(person: PersonRecord) -> bool:
    return person.keypoints is not None and person.bbox_xyxy is not None


def _annotated(row: Row, person: PersonRecord, projected: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distances (133,) to the annotated keypoints, as a fraction of the box's longer side, and which are annotated."""
    assert person.keypoints is not None
    box = np.asarray(person.bbox_xyxy, np.float64)
    side = max(box[2] - box[0], box[3] - box[1])
    distance = np.linalg.norm(projected[row["sample_id"]] - person.keypoints[:, :2], axis=-1) / side
    return distance, person.keypoints[:, 2] > 0


def acceptance(
    matching: Matching, projected: Mapping[str, np.ndarray], trusted: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How often a part was accepted, and how often an accepted one is wrong, against annotated keypoints.

    A part (head, torso, arms, legs, face, hands) counts where at least one of its points is annotated. It is wrong if
    its worst annotated point lies more than ``WRONG_REL`` of the box's longer side away.

    Args:
        matching: Labels with the annotated people.
        projected: sample_id to (133, 2) px.
        trusted: sample_id to (6,) bool, body groups that the keypoint estimator trusts; without: all of a valid body.

    Returns:
        ``parts``, ``accepted``, ``accepted_wrong``, ``refused_right``; empty without annotations.
    """
    counts = {"parts": 0, "accepted": 0, "accepted_wrong": 0, "refused_right": 0}
    for row, person in matching.pairs:
        if not _is_annotated(person):
            continue
        distance, annotated = _annotated(row, person, projected)
        groups = trusted.get(row["sample_id"], np.full(len(BODY_GROUPS), row["body_valid"]))
        accepted = dict(zip(BODY_GROUPS, groups, strict=True))
        accepted |= {part: row[f"{part}_valid"] for part in ("face", "left_hand", "right_hand")}
        for part, points in (
            BODY_GROUPS | {name: PART_POINTS[name] for name in accepted if name in PART_POINTS}
        ).items():
            index = np.arange(len(distance))[points] if isinstance(points, slice) else np.array(points)
            seen = index[annotated[index]]
            if not seen.size:
                continue
            wrong = distance[seen].max() > WRONG_REL
            counts["parts"] += 1
            counts["accepted"] += bool(accepted[part])
            counts["accepted_wrong"] += bool(accepted[part] and wrong)
            counts["refused_right"] += bool(not accepted[part] and not wrong)
    return {name: float(count) for name, count in counts.items()} if counts["parts"] else {}


def summarise(errors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean and median of every error over the people who have it, and how well quality ranks PA-MPJPE.

    Args:
        errors: By name, (P,) or (P, 2); see ``truth_errors`` and ``keypoint_errors``.
    """
    if not errors:
        return {}
    summary: dict[str, float | None] = {"people": float(len(next(iter(errors.values()))))}
    summary |= means_and_medians({name: values for name, values in errors.items() if name != "quality"})
    if "quality" in errors:
        summary["quality_rank_correlation"] = _quality_rank(errors["quality"], errors["pa_mpjpe_mm"])
    return {name: round(value, 5) for name, value in summary.items() if value is not None}


def _quality_rank(quality: np.ndarray, error: np.ndarray) -> float | None:
    """Spearman correlation: -1 is a perfect ranking; None for fewer than three different qualities."""
    known = np.isfinite(quality)
    if len(np.unique(quality[known])) < 3:
        return None
    return float(np.corrcoef(rankdata(quality[known]), rankdata(error[known]))[0, 1])


def reference_inventory(manifest: Manifest) -> Inventory | None:
    """The people that a data set knows, even where a run was told to find them itself; None if it knows none."""
    adapter = adapter_class(manifest.adapter)
    if "manifest" not in adapter.BOXES:
        return None
    keypoints = "coco_wholebody" if manifest.keypoints == "none" else manifest.keypoints
    return open_adapter(replace(manifest, boxes="manifest", keypoints=keypoints)).inventory()


def projected_keypoints(matching: Matching, body: EHMs) -> dict[str, np.ndarray]:
    """The labels' 133 keypoints in the photo: sample_id to (133, 2) px."""
    rows = [row for row, _ in matching.pairs]
    if not rows:
        return {}
    points = _posed(body, rows).keypoints.numpy()
    focal = np.array([row["focal_px"] for row in rows])[:, None, None]
    principal = np.stack([np.asarray(row["principal_px"]) for row in rows])[:, None]
    pixels = focal * points[..., :2] / points[..., 2:] + principal
    return {row["sample_id"]: pixels[i] for i, row in enumerate(rows)}
