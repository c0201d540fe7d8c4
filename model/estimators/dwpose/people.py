"""From raw poses to the rows of people: sigma and score of every point, and which parts are trusted."""

from __future__ import annotations

import numpy as np

from datasets_manifest.schema.error_codes import Refusal
from datasets_manifest.schema.labels import PART_NAMES
from model.body.skeleton import (
    BODY,
    BODY_AND_FEET,
    BODY_GROUPS,
    FACE,
    HANDS_AND_FACE,
    LEFT_HAND,
    NUM_KEYPOINTS,
    RIGHT_HAND,
)
from model.estimators.annotations import CLICK_SHARE, SIGMA_SHARE
from model.estimators.base import Array, KeypointsOutput
from model.estimators.dwpose.calibration import ScoreCalibration
from model.estimators.dwpose.poses import RawPoses
from model.estimators.mediapipe.uncertainty import face_sigma, hand_sigma, is_inside
from model.estimators.refusals import (
    LimbDetails,
    PartDetails,
    detail_of_limbs,
    details_by_count,
    few_keypoints,
    overlapped,
    trusted_parts,
)
from model.estimators.surface import COCO_ANNOTATORS
from model.imaging.boxes import longer_side, score_from_sigma


def trust_limits(calibration: ScoreCalibration) -> Array:
    """Score (133,) that each point needs to support its part."""
    limits = np.full(NUM_KEYPOINTS, calibration.trusted_body)
    limits[LEFT_HAND] = limits[RIGHT_HAND] = calibration.trusted_hands
    limits[FACE] = calibration.trusted_face
    return limits


def read_person(
    points: Array,
    raw_score: Array,
    crop_px: float,
    step_px: float,
    side_px: float,
    inside: Array,
    calib: ScoreCalibration,
) -> tuple[Array, Array, LimbDetails, PartDetails]:
    """Calibrates one person.

    The sigma of a point is the largest of three: what its raw score says, one step of the network's answers, and how
    far annotators and body models disagree about it.

    Args:
        points: (133, 2) photo px, NaN where there is none.
        raw_score: (133,).
        crop_px: Height of the crop.
        step_px: Distance of two neighbouring answers.
        side_px: Longer side of the box.
        inside: (133,) whether a point lies in the photo.
        calib: How raw scores are read.

    Returns:
        Keypoints (133, 3), sigma_px (133,), and the details of limbs and parts.
    """
    seen = np.isfinite(points).all(-1) & (raw_score > calib.seen) & inside
    from_score = np.maximum(calib.share_of(raw_score) * crop_px, step_px)
    scores = score_from_sigma(np.maximum(from_score, CLICK_SHARE * side_px), side_px) * seen
    limits = trust_limits(calib)
    trusted = seen & (scores >= limits)
    limbs = tuple(_limb_detail(scores, limits, trusted, members) for members in BODY_GROUPS.values())
    body, *others = details_by_count(trusted, "scored high enough")
    details = (body or detail_of_limbs(limbs), *others)
    # These are hidden as a whole where they are not trusted.
    for detail, part in zip(others, HANDS_AND_FACE, strict=True):
        if detail is not None:
            seen[part] = False
    floor = np.zeros(NUM_KEYPOINTS)
    floor[BODY_AND_FEET] = SIGMA_SHARE[BODY_AND_FEET] * side_px
    for part, sigma_of in zip(HANDS_AND_FACE, (hand_sigma, hand_sigma, face_sigma), strict=True):
        if seen[part].any():
            shown = np.where(seen[part, None], points[part], points[part][seen[part]].mean(0))
            floor[part] = sigma_of(shown)
    sigma = np.where(seen, np.maximum(from_score, floor), np.inf)
    keypoints = np.where(seen[:, None], np.column_stack([points, scores]), 0.0)
    return keypoints, sigma, limbs, details


def _limb_detail(scores: Array, limits: Array, trusted: Array, members: tuple[int, ...]) -> str | None:
    lost = [point for point in members if not trusted[point]]
    return f"score {scores[lost].min():.2f}, needed {limits[lost].max():.2f}" if lost else None


def keypoints_output(
    *,
    boxes: Array,
    box_source: str,
    scores: Array | None,
    problems: list[Refusal | None],
    poses: RawPoses,
    size: tuple[int, int],
    calibration: ScoreCalibration,
) -> KeypointsOutput:
    """Makes the rows of one photo.

    Args:
        boxes: (P, 4) xyxy px.
        box_source: Where the boxes are from.
        scores: (P,) of the detector; None = the mean score of the body points.
        problems: Refusal of each box that cannot be used, whose poses are not read.
        poses: (P, ...).
        size: Width and height of the photo.
        calibration: How raw scores are read.
    """
    num = len(boxes)
    keypoints, sigma = np.zeros((num, NUM_KEYPOINTS, 3)), np.full((num, NUM_KEYPOINTS), np.inf)
    unread = [None if problem is None else problem.detail for problem in problems]
    details: list[PartDetails] = [(detail,) * len(PART_NAMES) for detail in unread]
    limbs: list[LimbDetails] = [(detail,) * len(BODY_GROUPS) for detail in unread]
    sides = longer_side(boxes)
    inside = is_inside(np.nan_to_num(poses.points_px, nan=-np.inf), *size)
    reasons = list(problems)
    overlaps, valid = overlapped(boxes), np.zeros(num, dtype=bool)
    for i in range(num):
        if reasons[i] is not None:
            continue
        keypoints[i], sigma[i], limbs[i], details[i] = read_person(
            poses.points_px[i],
            poses.raw_score[i],
            float(poses.crop_px[i]),
            float(poses.step_px[i]),
            float(sides[i]),
            inside[i],
            calibration,
        )
        refused, overlap = few_keypoints(sigma[i]), overlaps[i]
        valid[i], reasons[i] = refused is None, refused or overlap
        if overlap is not None:
            limbs[i], details[i] = (overlap.detail,) * len(BODY_GROUPS), (overlap.detail, *details[i][1:])
    return KeypointsOutput(
        boxes_xyxy=boxes.astype(np.float32),
        box_source=[box_source] * num,
        scores=keypoints[:, BODY, 2].mean(1) if scores is None else np.clip(scores, 0, 1),
        keypoints=keypoints.astype(np.float32),
        sigma_px=sigma.astype(np.float32),
        part_valid=trusted_parts(details),
        part_details=details,
        limb_details=limbs,
        valid=valid,
        reasons=reasons,
        evidence={"simcc_score": poses.raw_score.astype(np.float32)} | COCO_ANNOTATORS.evidence(num),
    )
