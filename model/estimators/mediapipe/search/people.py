"""Who is in a photo: the people whose pose was found, and those of whom only the head is seen."""

from __future__ import annotations

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.runner import Detection, FaceDetection, Networks
from model.estimators.mediapipe.search.below import has_head, pose_below
from model.estimators.mediapipe.search.detector import (
    DetectorConfig,
    find_candidates,
    head_centre,
    levels_of,
    look_again,
)
from model.estimators.mediapipe.search.face_landmarks import head_side
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.heads import (
    POSE_FACE,
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
from model.estimators.mediapipe.search.pose import (
    REGION_FACTOR,
    PersonPose,
    PoseConfig,
    find_in_box,
    from_detection,
    person_box,
)
from model.estimators.mediapipe.search.repeats import drop_repeats
from model.estimators.mediapipe.uncertainty import is_pose_usable, limb_details, person_size_px
from model.imaging.boxes import longer_side

GHOST_SPREAD = 0.03
"""Median spread, in sides of the pose region, above which a detection is no person."""


def is_person(pose: PersonPose, box: Array) -> bool:
    """Whether a detected pose holds still under other regions, as people do and ghosts do not."""
    side = float(max(box[2:] - box[:2]))
    spread = float(np.median(pose.spread_px))
    return side > 8 and spread < GHOST_SPREAD * pose.region.side_px


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


def is_of(detection: Detection, pose: PersonPose) -> bool:
    """Whether the person detector saw somebody whose pose is known: the same head, or the same hips and size.

    Somebody close behind another person has a head beside it and hips of another size: narrow limits, since readings of
    one person are told apart afterwards.
    """
    points = pose.landmarks[:, :2]
    hips, radius = (points[23] + points[24]) / 2, pose.region.side_px / REGION_FACTOR
    large, small = max(radius, detection.radius_px), max(min(radius, detection.radius_px), 1e-6)
    same_hips = float(np.hypot(*(detection.hip_px - hips))) < 0.4 * small and large < 1.6 * small
    between_heads = float(np.hypot(*(head_centre(detection) - points[list(POSE_FACE)].mean(0))))
    return same_hips or between_heads < 0.4 * head_side(points)


def add_poses(
    networks: Networks, rgb: Array, known: list[PersonPose], candidates: list[Detection], config: DetectorConfig
) -> list[PersonPose]:
    """Returns known poses and those of candidates who are nobody of them, hold out a second look and stand still."""
    height, width = rgb.shape[:2]
    poses = list(known)
    for candidate in candidates:
        if any(is_of(candidate, pose) for pose in poses):
            continue
        seen = look_again(networks, rgb, candidate, config)
        if seen is None or any(is_of(seen, pose) for pose in poses):
            continue
        pose = from_detection(networks, rgb, seen)
        if pose is not None and is_person(pose, person_box(pose.landmarks, width, height)):
            poses.append(pose)
    return poses


def people_of_photo(
    networks: Networks,
    rgb: Array,
    *,
    detector: DetectorConfig,
    hands: HandConfig,
    heads: HeadConfig,
) -> tuple[list[PersonReading], Array]:
    """Returns everybody in an (H, W, 3) photo and their xyxy boxes (P, 4).

    Large people by the person detector, then bodies below faces that are nobody's, then small people beside those.
    """
    height, width = rgb.shape[:2]
    groups = detect_faces(networks, rgb, np.array([0, 0, width, height]), heads)
    faces = [face for group in groups if (face := confirm(networks, rgb, group, heads)) is not None]

    def box_of(pose: PersonPose) -> Array:
        return person_box(pose.landmarks, width, height)

    levels = levels_of(width, height, detector)
    poses = add_poses(networks, rgb, [], find_candidates(networks, rgb, levels[:2], detector), detector)
    for face in (found.reading for found in faces):
        if not any(has_head(pose, face) for pose in poses):
            below = pose_below(networks, rgb, face)
            poses += [below] if below is not None and is_person(below, box_of(below)) else []
    boxes = [box_of(pose) for pose in poses]
    poses = add_poses(networks, rgb, poses, find_candidates(networks, rgb, levels[2:], detector, boxes), detector)
    pairs = [(pose, box_of(pose)) for pose in poses]
    kept = drop_repeats([pose for pose, _ in pairs], [box for _, box in pairs])
    people = []
    for pose, box in (pairs[i] for i in kept):
        face = next((found.reading for found in faces if has_head(pose, found.reading)), None)
        people.append((read_parts(networks, rgb, pose, hands, known_face=face), box))

    for found in faces:
        mesh = found.reading.landmarks
        owner = next((i for i, (reading, _) in enumerate(people) if owns_face(reading, found.detection)), None)
        if owner is not None:
            reading, box = people[owner]
            if reading.pose is None or reading.has_face() or has_trusted_part(reading, box, width, height):
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
