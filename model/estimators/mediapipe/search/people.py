"""Who is in a photo: the people whose pose was found, and those of whom only the head is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.runner import FaceDetection, Networks
from model.estimators.mediapipe.landmarks import POSE_FLIP
from model.estimators.mediapipe.search.detector import DetectorConfig, find_people
from model.estimators.mediapipe.search.face_landmarks import eyes_along, face_offset
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.heads import (
    HeadConfig,
    centre,
    confirm,
    detect_faces,
    head_box,
    is_head_of,
    mesh_centre,
    mesh_height,
    side_px,
)
from model.estimators.mediapipe.search.person import PersonReading, read_parts
from model.estimators.mediapipe.search.pose import PersonPose, PoseConfig, find_in_box, from_detection, person_box
from model.estimators.mediapipe.uncertainty import is_pose_usable, limb_details, person_size_px
from model.imaging.boxes import box_area, intersection_area, longer_side

JOINTS = np.array([0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Pose landmarks that tell people apart: nose, then shoulders to wrists and hips to ankles."""
CLAIM_REACH = 0.08
"""Distance of two readings of one joint, in the smaller box's longer sides."""
MIN_CLAIMS_WITH_HEAD, MAX_CLAIMS = 4, 7
"""Joints of other people, among ``JOINTS``, that make a pose no person of its own: with another's head, and without.
People who embrace or stand behind one another share up to two."""
GHOST_SPREAD = 0.03
"""Median spread, in sides of the pose region, above which a detection is no person."""


def is_person(pose: PersonPose, box: Array) -> bool:
    """Whether a detected pose holds still under other regions, as people do and ghosts do not."""
    side = float(max(box[2:] - box[:2]))
    spread = float(np.median(pose.spread_px))
    return pose.score > 0.5 and side > 8 and spread < GHOST_SPREAD * pose.region.side_px


def claimed(pose: PersonPose, other: PersonPose, reach_px: float) -> Array:
    """Which of ``JOINTS`` lie on the same joint of another pose, left or right: (13,) bool."""
    here, there = pose.landmarks[JOINTS, :2], other.landmarks[:, :2]
    distances = [np.linalg.norm(here - there[places], axis=1) for places in (JOINTS, POSE_FLIP[JOINTS])]
    return np.minimum(*distances) < reach_px


def is_taken(pose: PersonPose, side: float, others: list[tuple[PersonPose, float]]) -> bool:
    """Whether a pose is made of other people: one that has the same head and some of the limbs, or several.

    Args:
        pose: To be judged.
        side: Longer side of its box, px.
        others: Steadier poses with their sides.
    """
    taken = [claimed(pose, other, CLAIM_REACH * min(side, own)) for other, own in others]
    has_head_of = any(own[0] and own.sum() >= MIN_CLAIMS_WITH_HEAD for own in taken)
    return has_head_of or int(np.any(taken, axis=0).sum()) >= MAX_CLAIMS


def drop_repeats(poses: list[PersonPose], boxes: list[Array]) -> list[int]:
    """Returns the indices to keep: of readings of one person the steadiest, none that is composed of people who are
    kept, and no small box inside a larger person."""
    sides = [float(max(box[2:] - box[:2])) for box in boxes]
    order = sorted(range(len(poses)), key=lambda i: float(np.median(poses[i].spread_px)) / max(sides[i], 1.0))
    kept: list[int] = []
    for i in order:
        if not is_taken(poses[i], sides[i], [(poses[j], sides[j]) for j in kept]):
            kept.append(i)

    def is_swallowed(i: int) -> bool:
        area = box_area(boxes[i])
        return any(
            sides[i] < 0.5 * sides[j] and intersection_area(boxes[i], boxes[j]) > 0.8 * area for j in kept if j != i
        )

    return sorted(i for i in kept if not is_swallowed(i))


def has_trusted_part(reading: PersonReading, box: Array, width: int, height: int) -> bool:
    """Whether a reading is good for anything: its face, a hand, or its body."""
    if reading.pose is None or reading.has_face() or any(reading.hand_ok):
        return True
    size = float(person_size_px(box, np.array([reading.pose.region.side_px]))[0])
    return is_pose_usable(limb_details(reading.pose.landmarks, reading.pose.spread_px, size, width, height))


def owns_face(reading: PersonReading, detection: FaceDetection) -> bool:
    """Whether a detected face is this person's."""
    if reading.face is not None and (reading.pose is None or reading.has_face()):
        mesh = reading.face.landmarks
        return float(np.hypot(*(mesh_centre(mesh) - centre(detection)))) < 0.6 * max(
            mesh_height(mesh), side_px(detection)
        )
    return reading.pose is not None and is_head_of(centre(detection), side_px(detection), reading.pose.landmarks)


def people_of_photo(
    networks: Networks,
    rgb: Array,
    *,
    detector: DetectorConfig,
    hands: HandConfig,
    heads: HeadConfig,
) -> tuple[list[PersonReading], Array]:
    """Returns everybody in an (H, W, 3) photo and their xyxy boxes (P, 4)."""
    height, width = rgb.shape[:2]
    poses = [from_detection(networks, rgb, d) for d in find_people(networks, rgb, detector)]
    pairs = [(pose, person_box(pose.landmarks, width, height)) for pose in poses]
    pairs = [(pose, box) for pose, box in pairs if is_person(pose, box)]
    kept = drop_repeats([pose for pose, _ in pairs], [box for _, box in pairs])
    people = [(read_parts(networks, rgb, pairs[i][0], hands), pairs[i][1]) for i in kept]

    for group in detect_faces(networks, rgb, np.array([0, 0, width, height]), heads):
        owner = next((i for i, (reading, _) in enumerate(people) if owns_face(reading, group[0])), None)
        if owner is not None and (people[owner][0].pose is None or people[owner][0].has_face()):
            continue
        found = confirm(networks, rgb, group, heads)
        if found is None:
            continue
        mesh = found.reading.landmarks
        if owner is not None:
            reading, box = people[owner]
            assert reading.pose is not None
            offset = face_offset(found.reading, reading.pose.landmarks)
            eyes = eyes_along(mesh, reading.pose.landmarks)
            with_face = replace(reading, face=found.reading, face_offset=offset, face_eyes=eyes)
            if with_face.has_face():
                people[owner] = with_face, box
                continue
            if has_trusted_part(reading, box, width, height):
                continue
        x, y = mesh_centre(mesh)
        people = [  # a pose that is good for nothing yields to the face inside its box
            (reading, box)
            for reading, box in people
            if has_trusted_part(reading, box, width, height) or not (box[0] < x < box[2] and box[1] < y < box[3])
        ]
        head = PersonReading(pose=None, face=found.reading, face_offset=found.offset)
        people.append((head, head_box(mesh, width, height)))
    return [reading for reading, _ in people], np.array([box for _, box in people]).reshape(-1, 4)


def people_in_boxes(
    networks: Networks,
    rgb: Array,
    boxes: Array,
    usable: list[bool],
    *,
    pose: PoseConfig,
    hands: HandConfig,
    heads: HeadConfig,
) -> list[PersonReading | None]:
    """Returns the person of each xyxy box (P, 4), None where nobody was found or the box is not usable."""
    height, width = rgb.shape[:2]
    readings: list[PersonReading | None] = []
    for box, is_usable in zip(boxes, usable, strict=True):
        found = find_in_box(networks, rgb, box, pose) if is_usable else None
        readings.append(None if found is None else read_parts(networks, rgb, found, hands))
    for i, (box, reading) in enumerate(zip(boxes, readings, strict=True)):
        if not usable[i] or (reading is not None and has_trusted_part(reading, box, width, height)):
            continue
        others = [other for j, other in enumerate(readings) if j != i and other is not None]
        readings[i] = head_in_box(networks, rgb, box, others, heads) or reading
    return readings


def head_in_box(
    networks: Networks, rgb: Array, box: Array, others: list[PersonReading], heads: HeadConfig
) -> PersonReading | None:
    """Returns the head-only person of an xyxy box (4,): its best face that is nobody else's and large enough."""
    height, width = rgb.shape[:2]
    area = np.clip(box, 0, [width, height, width, height])
    for group in detect_faces(networks, rgb, area, heads):
        is_small = side_px(group[0]) < heads.min_share * float(longer_side(area)[0])
        if is_small or any(owns_face(other, group[0]) for other in others):
            continue
        found = confirm(networks, rgb, group, heads)
        if found is not None:
            return PersonReading(pose=None, face=found.reading, face_offset=found.offset)
    return None
