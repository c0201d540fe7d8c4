"""Keypoint estimator: finds people, reads them and returns 133 keypoints with calibrated uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.body.skeleton import BODY, NUM_KEYPOINTS
from model.estimators.base import Array, ImageInput, KeypointsOutput
from model.estimators.boxes import box_area, box_problem, intersection_area, longer_side
from model.estimators.mediapipe.detector import DetectorConfig, find_people
from model.estimators.mediapipe.graphs import networks
from model.estimators.mediapipe.hands import HandConfig
from model.estimators.mediapipe.landmarks import BODY_GROUPS, FACE_OF_68
from model.estimators.mediapipe.person import PersonReading, face_accepted, read_parts, to_evidence
from model.estimators.mediapipe.pose import (
    PersonPose,
    PoseConfig,
    find_in_box,
    from_detection,
    person_box,
)
from model.estimators.mediapipe.uncertainty import (
    assemble,
    body_points,
    body_trusted,
    person_size_px,
    trusted_groups,
)
from model.estimators.options import as_config
from model.estimators.registry import register

MIN_KEYPOINTS = 4
"""Seen body points below which a person cannot be fitted."""
SAME_POSE = 0.1
"""Mean landmark distance, in box sides, below which two readings are one person."""
GHOST_SPREAD = 0.03
"""Median spread, in sides of the pose region, above which a detection is no person."""
COMPARABLE_AREA = 0.3
"""Area ratio above which an overlap refuses both people, else only the smaller one."""


def is_person(pose: PersonPose, box: Array) -> bool:
    """Whether a detected pose holds still under other regions, as people do and ghosts do not."""
    side = float(max(box[2:] - box[:2]))
    spread = float(np.median(pose.spread_px))
    return pose.score > 0.5 and side > 8 and spread < GHOST_SPREAD * pose.region.side_px


def drop_repeats(poses: list[PersonPose], boxes: list[Array]) -> list[int]:
    """Returns the indices to keep: of readings of one person the steadiest, and no small box inside a larger person."""
    sides = [float(max(box[2:] - box[:2])) for box in boxes]
    order = sorted(range(len(poses)), key=lambda i: float(np.median(poses[i].spread_px)) / max(sides[i], 1.0))
    kept: list[int] = []
    for i in order:
        repeated = any(
            np.linalg.norm(poses[i].landmarks[:, :2] - poses[j].landmarks[:, :2], axis=1).mean()
            < SAME_POSE * max(sides[i], sides[j])
            for j in kept
        )
        if not repeated:
            kept.append(i)

    def is_swallowed(i: int) -> bool:
        area = box_area(boxes[i])
        return any(
            sides[i] < 0.5 * sides[j] and intersection_area(boxes[i], boxes[j]) > 0.8 * area for j in kept if j != i
        )

    return sorted(i for i in kept if not is_swallowed(i))


def overlapped(boxes: Array) -> Array:
    """Returns (P,) whether more than half of the smaller of two boxes lies in the other.

    Of people of very different size only the smaller one counts as overlapped.
    """
    out = np.zeros(len(boxes), dtype=bool)
    areas = [box_area(box) for box in boxes]
    for i in range(len(boxes)):
        for j in range(len(boxes)):
            is_smaller = areas[i] < areas[j] or (areas[i] == areas[j] and i > j)
            if i == j or not is_smaller or intersection_area(boxes[i], boxes[j]) <= 0.5 * areas[i]:
                continue
            out[i] = True
            out[j] |= areas[i] > COMPARABLE_AREA * areas[j]
    return out


@register("keypoints", "mediapipe")
class MediapipeKeypoints:
    """133 keypoints from MediaPipe: 131 of them, small toes never."""

    def __init__(
        self,
        *,
        detector: DetectorConfig | Mapping[str, Any] | None = None,
        pose: PoseConfig | Mapping[str, Any] | None = None,
        hands: HandConfig | Mapping[str, Any] | None = None,
    ) -> None:
        self._detector = as_config(DetectorConfig, detector)
        self._pose = as_config(PoseConfig, pose)
        self._hands = as_config(HandConfig, hands)
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
            poses, used = self._detect(rgb)
            found: list[PersonPose | None] = list(poses)
            problems: list[str | None] = [None for _ in found]
            source = "detector"
        else:
            used = np.asarray(boxes, dtype=float).reshape(-1, 4)
            problems = [box_problem(box, width, height) for box in used]
            found = [
                None if problem else find_in_box(self._networks, rgb, box, self._pose)
                for box, problem in zip(used, problems, strict=True)
            ]
            source = "manifest"
        readings = [None if pose is None else read_parts(self._networks, rgb, pose, self._hands) for pose in found]
        return self._output(readings, used, problems, source, width, height)

    def _detect(self, rgb: Array) -> tuple[list[PersonPose], Array]:
        height, width = rgb.shape[:2]
        poses = [from_detection(self._networks, rgb, d) for d in find_people(self._networks, rgb, self._detector)]
        pairs = [(pose, person_box(pose.landmarks, width, height)) for pose in poses]
        pairs = [(pose, box) for pose, box in pairs if is_person(pose, box)]
        kept = drop_repeats([pose for pose, _ in pairs], [box for _, box in pairs])
        boxes = np.array([pairs[i][1] for i in kept]).reshape(-1, 4)
        return [pairs[i][0] for i in kept], boxes

    def _output(
        self,
        readings: list[PersonReading | None],
        boxes: Array,
        problems: list[str | None],
        source: str,
        width: int,
        height: int,
    ) -> KeypointsOutput:
        num = len(readings)
        evidence = to_evidence(readings)
        face_ok = face_accepted(evidence)
        hand_ok = evidence["hand_ok"] > 0.5
        groups = np.zeros((num, len(BODY_GROUPS)), dtype=bool)
        keypoints, sigma = np.zeros((num, NUM_KEYPOINTS, 3)), np.full((num, NUM_KEYPOINTS), np.inf)
        sizes = person_size_px(boxes, evidence["pose_region"][:, 2])
        sides = longer_side(boxes)
        for i, reading in enumerate(readings):
            if reading is None:
                continue
            pose = reading.pose
            size = float(sizes[i])
            groups[i] = trusted_groups(pose.landmarks, pose.spread_px, size, width, height)
            left, right = (evidence["hand_px"][i, s, :, :2] if hand_ok[i, s] else None for s in (0, 1))
            keypoints[i], sigma[i] = assemble(
                body_points(pose.landmarks, pose.spread_px, size, width, height),
                evidence["face_px"][i, FACE_OF_68, :2] if face_ok[i] else None,
                (left, right),
                float(sides[i]),
            )
        reasons = list(problems)
        is_overlapped = overlapped(boxes)
        for i in range(num):
            if reasons[i] is None and readings[i] is None:
                reasons[i] = "body_not_found"
            elif reasons[i] is None and np.isfinite(sigma[i, BODY]).sum() < MIN_KEYPOINTS:
                reasons[i] = "keypoints_too_few"
            elif reasons[i] is None and is_overlapped[i]:
                reasons[i] = "person_overlapped"
        evidence["body_group_valid"] = groups.astype(np.float32)
        valid = np.array([reason is None for reason in reasons], dtype=bool)
        trusted = np.array([body_trusted(row) for row in groups], dtype=bool)
        return KeypointsOutput(
            boxes_xyxy=boxes.astype(np.float32),
            box_source=[source] * num,
            scores=np.nan_to_num(evidence["pose_score"]),
            keypoints=keypoints.astype(np.float32),
            sigma_px=sigma.astype(np.float32),
            part_valid=np.column_stack([trusted, hand_ok, face_ok]),
            valid=valid,
            reasons=reasons,
            evidence=evidence,
        )
