"""Keypoint backend that takes a data set's own annotations, with the uncertainty of human annotators.

What a data set does not annotate can be filled from a detector: COCO's people have 17 body points, no hands, no face.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from datasets_manifest.schema.error_codes import Refusal
from model.body.skeleton import CONTOUR, HANDS_AND_FACE, INNER_FACE, NUM_KEYPOINTS
from model.estimators.base import Array, EstimatorInfo, ImageInput, KeypointsOutput
from model.estimators.hidden_error import HIDDEN_EVIDENCE
from model.estimators.refusals import (
    TRUNK,
    details_by_count,
    few_keypoints,
    limb_details_by_count,
    refused_boxes,
    trusted_parts,
)
from model.estimators.registry import create, register
from model.estimators.surface import COCO_ANNOTATORS
from model.imaging.boxes import longer_side, score_from_sigma

SIGMA_SHARE = np.full(NUM_KEYPOINTS, 0.012)
SIGMA_SHARE[5:11] = 0.02
SIGMA_SHARE[list(TRUNK)] = 0.015
SIGMA_SHARE[13:23] = 0.025
SIGMA_SHARE[CONTOUR] = 0.02
SIGMA_SHARE[INNER_FACE] = 0.007
"""Sigma of a point as a share of the box's longer side: annotators and body models disagree about joints.
Of shoulders and hips it is what remains beside the offset that is stated with them."""
CLICK_SHARE = 0.012
"""How well annotators repeat a point: what the score is made of."""
OCCLUDED, VISIBLE = 1, 2
"""COCO's visibility flags of annotated points; 0 = not annotated."""
OCCLUDED_FACTOR = 1.5
FAR_FROM_BOX = 1.0
"""Longer sides of the person's box outside it, beyond which a point is taken for a slip of the annotation. Of 39 people
of COCO, PoseTrack18, AI Challenger and Human3.6M none has one beyond 0.44 (in COCO 0.09), feet and hands included."""
FAR_FROM_PHOTO = 0.25
"""The same outside the photo, in its longer sides. Those people stay within 0.02."""
BOX_MARGIN = 0.08
"""Room around the keypoints, in longer sides, where no box was annotated."""


def is_annotated(keypoints: Array) -> Array:
    """Whether points (..., 133, 3) are there: finite and flagged."""
    return np.isfinite(keypoints).all(-1) & (np.nan_to_num(keypoints[..., 2]) > 0)


def is_near(points: Array, box: Array, margin_px: float) -> Array:
    """Whether points (..., 2) lie in an xyxy box (4,) or not further than a margin outside it."""
    return np.maximum(box[:2] - points, points - box[2:]).max(-1) <= margin_px


def is_possible(points: Array, box: Array, width: float, height: float) -> Array:
    """Whether annotated points (..., 2) of a person with an xyxy box (4,) are no slips, far from it or the photo."""
    in_photo = is_near(points, np.array([0, 0, width, height]), FAR_FROM_PHOTO * max(width, height))
    return in_photo & is_near(points, box, FAR_FROM_BOX * float(longer_side(box)[0]))


def annotation_sigma_px(flags: Array, box_side_px: float) -> Array:
    """Sigma (133,) from COCO visibility flags (133,): occluded points count 1.5 times, missing ones are inf."""
    sigma = SIGMA_SHARE * box_side_px
    return np.where(flags <= 0, np.inf, np.where(flags < VISIBLE, OCCLUDED_FACTOR * sigma, sigma))


def box_of_keypoints(keypoints: Array, width: int, height: int) -> Array:
    """Returns the xyxy box (4,) around the annotated points of (133, 3), NaN without any."""
    points = keypoints[is_annotated(keypoints), :2]
    if len(points) == 0:
        return np.full(4, np.nan)
    low, high = points.min(0), points.max(0)
    margin = BOX_MARGIN * float(max(high - low))
    return np.clip(np.concatenate([low - margin, high + margin]), 0, [width, height, width, height])


def filled(own: KeypointsOutput, found: KeypointsOutput) -> KeypointsOutput:
    """Returns annotated people with the faces and hands that a detector found where there are too few annotated points.

    Annotated points stay as they are. The detector's evidence spares the later steps another search.
    """
    keypoints, sigma_px, details = own.keypoints.copy(), own.sigma_px.copy(), [list(row) for row in own.part_details]
    for i, row in enumerate(details):
        for part, points in enumerate(HANDS_AND_FACE, 1):
            if row[part] is None or not own.valid[i]:
                continue
            if found.part_valid[i, part]:
                new = np.isinf(sigma_px[i]) & np.isfinite(found.sigma_px[i])
                new[: points.start], new[points.stop :] = False, False
                keypoints[i, new], sigma_px[i, new] = found.keypoints[i, new], found.sigma_px[i, new]
                row[part] = None
            else:
                row[part] = f"{row[part]}; looked for: {found.part_details[i][part]}"
    parts = [tuple(row) for row in details]
    part_valid, evidence = trusted_parts(parts), found.evidence | own.evidence
    if HIDDEN_EVIDENCE in evidence:
        evidence[HIDDEN_EVIDENCE] = evidence[HIDDEN_EVIDENCE] * (part_valid & ~own.part_valid)
    return replace(
        own,
        keypoints=keypoints,
        sigma_px=sigma_px,
        part_details=parts,
        part_valid=part_valid,
        evidence=evidence,
    )


@register("keypoints", "annotations")
class AnnotatedKeypoints:
    """The keypoints of the data set, as they are."""

    info = EstimatorInfo(name="annotations", version="2")

    def __init__(self, *, fill: Literal["mediapipe"] | None = None) -> None:
        self._filler = None if fill is None else create("keypoints", fill)
        if self._filler is not None:
            self.info = replace(self._filler.info, name="annotations", version=f"2, {fill} {self._filler.info.version}")

    def estimate(
        self, image: ImageInput, boxes: Array | None = None, annotated: Array | None = None
    ) -> KeypointsOutput:
        """Returns the annotated keypoints; see ``KeypointEstimator``.

        Raises:
            ValueError: The data set has no keypoints, or not one set a box.
        """
        if annotated is None:
            raise ValueError(
                f"image {image.image_id!r}: the keypoint backend 'annotations' needs a data set with 133 annotated "
                "keypoints a person, this one has none; use the backend 'mediapipe'"
            )
        annotated = np.asarray(annotated, dtype=float)
        if annotated.ndim != 3 or annotated.shape[1:] != (NUM_KEYPOINTS, 3):
            raise ValueError(
                f"image {image.image_id!r}: expected annotated keypoints (P, {NUM_KEYPOINTS}, 3), got {annotated.shape}"
            )
        if boxes is not None and len(boxes) != len(annotated):
            raise ValueError(f"image {image.image_id!r}: {len(boxes)} boxes for {len(annotated)} people")
        height, width = image.rgb.shape[:2]
        num = len(annotated)
        boxes = np.full((num, 4), np.nan) if boxes is None else np.array(boxes, dtype=float).reshape(-1, 4)
        source = ["manifest"] * num
        seen = is_annotated(annotated)
        num_annotated = seen.sum(1)
        allowed_px = FAR_FROM_PHOTO * max(width, height)
        seen &= is_near(annotated[..., :2], np.array([0, 0, width, height]), allowed_px)
        for i in range(num):
            if not np.isfinite(boxes[i]).all():
                known = np.where(seen[i, :, None], annotated[i], 0.0)
                boxes[i], source[i] = box_of_keypoints(known, width, height), "keypoints"
        reasons = refused_boxes(boxes, width, height)
        for i, side in enumerate(longer_side(boxes)):
            if reasons[i] is None:
                seen[i] &= is_near(annotated[i, :, :2], boxes[i], FAR_FROM_BOX * float(side))
            too_few = few_keypoints(np.where(seen[i], 0.0, np.inf))
            if too_few is not None and seen[i].sum() < num_annotated[i]:
                too_few = Refusal(
                    too_few.code,
                    f"{too_few.detail}: {num_annotated[i] - seen[i].sum()} of {num_annotated[i]} annotated points lie "
                    f"more than {FAR_FROM_BOX:g} x the box's longer side outside the box or {allowed_px:.0f} px "
                    "outside the photo",
                )
            reasons[i] = too_few or reasons[i]
        kept = np.where(seen[..., None], annotated, 0.0)
        out = self._output(kept.copy(), boxes, source, reasons)
        if self._filler is None:
            return out
        return filled(out, self._filler.fill(image, np.where(out.valid[:, None], boxes, np.nan), kept))

    def _output(
        self, keypoints: Array, boxes: Array, source: list[str], reasons: list[Refusal | None]
    ) -> KeypointsOutput:
        """Output of keypoints (P, 133, 3) with COCO's flags, zeros where not seen."""
        num = len(keypoints)
        seen = keypoints[..., 2] > 0
        sigma, scores = np.full(seen.shape, np.inf), np.zeros(seen.shape)
        for i, side in enumerate(longer_side(boxes)):
            flags = keypoints[i, :, 2]
            sigma[i] = annotation_sigma_px(flags, float(side)) if np.isfinite(side) else np.inf
            click = np.where(flags < VISIBLE, OCCLUDED_FACTOR, 1.0) * CLICK_SHARE
            scores[i] = np.where(np.isfinite(sigma[i]), score_from_sigma(click, 1.0), 0.0)
        keypoints[..., 2] = scores
        keypoints[scores == 0] = 0
        valid = np.array([reason is None for reason in reasons], dtype=bool)
        details = [details_by_count(row, "annotated") for row in seen]
        return KeypointsOutput(
            boxes_xyxy=boxes.astype(np.float32),
            box_source=source,
            scores=np.ones(num),
            keypoints=keypoints.astype(np.float32),
            sigma_px=sigma.astype(np.float32),
            part_valid=trusted_parts(details),
            part_details=details,
            limb_details=[limb_details_by_count(row, "annotated") for row in seen],
            valid=valid,
            reasons=reasons,
            evidence=COCO_ANNOTATORS.evidence(num),
        )
