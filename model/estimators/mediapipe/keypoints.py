"""Keypoint estimator: finds people, reads them and returns 133 keypoints with calibrated uncertainty."""

from __future__ import annotations

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.skeleton import BODY_GROUPS, NUM_KEYPOINTS
from model.estimators.base import Array, ImageInput, KeypointsOutput
from model.estimators.hidden_error import MEDIAPIPE_MM, hidden_error
from model.estimators.mediapipe.body import NO_BODY
from model.estimators.mediapipe.graphs.runner import networks
from model.estimators.mediapipe.landmarks import FACE_OF_68
from model.estimators.mediapipe.search.annotated import people_of_annotations
from model.estimators.mediapipe.search.close_hands import CloseHandConfig, hand_people
from model.estimators.mediapipe.search.detector import DetectorConfig
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.heads import BODY_POINTS, HeadConfig, head_points
from model.estimators.mediapipe.search.people import has_trusted_part, people_in_boxes, people_of_photo
from model.estimators.mediapipe.search.person import (
    PersonReading,
    face_accepted,
    face_details,
    hand_details,
    one_owner_a_hand,
    to_evidence,
)
from model.estimators.mediapipe.search.pose import PoseConfig
from model.estimators.mediapipe.uncertainty import (
    assemble,
    body_points,
    limb_details,
    person_size_px,
)
from model.estimators.refusals import (
    LimbDetails,
    PartDetails,
    detail_of_limbs,
    few_keypoints,
    overlapped,
    refused_boxes,
    trusted_parts,
)
from model.estimators.registry import register
from model.estimators.surface import MEDIAPIPE
from model.imaging.boxes import longer_side

ONLY_HAND = "nobody was found, only a hand"


@register("keypoints", "mediapipe")
class MediapipeKeypoints:
    """133 keypoints from MediaPipe: 131 of them, small toes never."""

    def __init__(
        self,
        *,
        detector: DetectorConfig | None = None,
        pose: PoseConfig | None = None,
        hands: HandConfig | None = None,
        heads: HeadConfig | None = None,
        close_hands: CloseHandConfig | None = None,
    ) -> None:
        self._detector = detector or DetectorConfig()
        self._pose = pose or PoseConfig()
        self._hands = hands or HandConfig()
        self._heads = heads or HeadConfig()
        self._close_hands = close_hands or CloseHandConfig()
        self._no_pose = Refusal(
            ErrorCode.BODY_NOT_FOUND,
            f"no pose scores {self._pose.min_score} and covers {self._pose.min_overlap:.0%} of the given box",
        )
        self._networks = networks()
        self.info = self._networks.info

    def estimate(
        self, image: ImageInput, boxes: Array | None = None, annotated: Array | None = None
    ) -> KeypointsOutput:
        """Estimates keypoints; see ``KeypointEstimator``. Annotated keypoints are not used."""
        del annotated
        rgb = image.rgb
        height, width = rgb.shape[:2]
        if boxes is None:
            people, used = people_of_photo(
                self._networks, rgb, detector=self._detector, hands=self._hands, heads=self._heads
            )
            readings = one_owner_a_hand(people)
            if not any(has_trusted_part(*person, width, height) for person in zip(people, used, strict=True)):
                close, boxes = hand_people(self._networks, rgb, self._close_hands)
                readings, used = (close, boxes) if close else (readings, used)
            return self._output(readings, used, [None] * len(readings), "detector", width, height)
        used = np.asarray(boxes, dtype=float).reshape(-1, 4)
        problems = refused_boxes(used, width, height)
        usable = [problem is None for problem in problems]
        people = people_in_boxes(
            self._networks, rgb, used, usable, pose=self._pose, hands=self._hands, heads=self._heads
        )
        readings = one_owner_a_hand(people)
        return self._output(readings, used, problems, "manifest", width, height)

    def fill(self, image: ImageInput, boxes: Array, annotated: Array) -> KeypointsOutput:
        """Estimates people whose body points are annotated, with their faces and hands where those points have them.

        Args:
            image: The photo.
            boxes: (P, 4) xyxy px.
            annotated: (P, 133, 3) with COCO's flags.
        """
        height, width = image.rgb.shape[:2]
        problems = refused_boxes(boxes, width, height)
        usable = [problem is None for problem in problems]
        readings = people_of_annotations(
            self._networks, image.rgb, boxes, usable, annotated, pose=self._pose, hands=self._hands
        )
        return self._output(readings, boxes, problems, "manifest", width, height)

    def _output(
        self,
        readings: list[PersonReading | None],
        boxes: Array,
        problems: list[Refusal | None],
        source: str,
        width: int,
        height: int,
    ) -> KeypointsOutput:
        num = len(readings)
        evidence = to_evidence(readings)
        face_ok = face_accepted(evidence)
        hand_ok = evidence["hand_ok"] > 0.5
        bodies: list[str | None] = [NO_BODY.detail] * num
        limbs: list[LimbDetails] = [(NO_BODY.detail,) * len(BODY_GROUPS)] * num
        keypoints, sigma = np.zeros((num, NUM_KEYPOINTS, 3)), np.full((num, NUM_KEYPOINTS), np.inf)
        sizes = person_size_px(boxes, evidence["pose_region"][:, 2])
        sides = longer_side(boxes)
        for i, reading in enumerate(readings):
            if reading is None:
                continue
            if reading.is_hand:
                body = np.zeros((BODY_POINTS, 2)), np.full(BODY_POINTS, np.inf), np.full(BODY_POINTS, np.inf)
                limbs[i], bodies[i] = (ONLY_HAND,) * len(BODY_GROUPS), ONLY_HAND
            elif reading.pose is None:  # a head
                body = head_points(evidence["face_px"][i], width, height)
            else:
                pose, size = reading.pose, float(sizes[i])
                limbs[i] = limb_details(pose.landmarks, pose.spread_px, size, width, height)
                bodies[i] = detail_of_limbs(limbs[i])
                body = body_points(pose.landmarks, pose.spread_px, size, width, height)
            left, right = (evidence["hand_px"][i, s, :, :2] if hand_ok[i, s] else None for s in (0, 1))
            keypoints[i], sigma[i] = assemble(
                body,
                evidence["face_px"][i, FACE_OF_68, :2] if face_ok[i] else None,
                (left, right),
                float(sides[i]),
            )
        reasons, valid = list(problems), np.zeros(num, dtype=bool)
        is_hand = np.array([bool(reading and reading.is_hand) for reading in readings], dtype=bool)
        is_head = np.array([bool(reading and reading.is_head) for reading in readings], dtype=bool)
        # What is no person overlaps nobody.
        has_limb = np.array([None in own for own in limbs], dtype=bool)
        people = ~is_head & ~is_hand & (has_limb | face_ok | hand_ok.any(1))
        overlaps = dict(zip(np.flatnonzero(people).tolist(), overlapped(boxes[people]), strict=True))
        for i, reading in enumerate(readings):
            few = None if is_hand[i] else few_keypoints(sigma[i])
            refused = reasons[i] or (self._no_pose if reading is None else few)
            overlap = overlaps.get(i)
            valid[i], reasons[i] = refused is None, refused or overlap
            if overlap is not None:
                limbs[i], bodies[i] = (overlap.detail,) * len(BODY_GROUPS), overlap.detail
        best_hand = np.where(hand_ok, evidence["hand_score"], 0.0).max(1)
        scores = np.select([is_hand, is_head], [best_hand, evidence["face_score"]], evidence["pose_score"])
        evidence |= MEDIAPIPE.evidence(num) | hidden_error(MEDIAPIPE_MM, num)
        details: list[PartDetails] = [
            (body, *hands, face)
            for body, hands, face in zip(
                bodies, hand_details(evidence, self._hands), face_details(evidence), strict=True
            )
        ]
        return KeypointsOutput(
            boxes_xyxy=boxes.astype(np.float32),
            box_source=[source] * num,
            scores=np.nan_to_num(scores),
            keypoints=keypoints.astype(np.float32),
            sigma_px=sigma.astype(np.float32),
            part_valid=trusted_parts(details),
            part_details=details,
            limb_details=limbs,
            valid=valid,
            reasons=reasons,
            evidence=evidence,
        )
