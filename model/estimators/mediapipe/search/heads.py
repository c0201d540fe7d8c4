"""Finds people of whom only the head is seen: faces that belong to no found pose.

The face detector proposes, the face mesh disposes: on cats, coffee cups and coins the mesh's score stays below 0.02.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import FaceDetection, FaceReading, Networks
from model.estimators.mediapipe.search.detector import tiles
from model.estimators.mediapipe.search.face_landmarks import CHIN, FOREHEAD, NOSE, head_side, read_face

REGION_FACTOR = 1.5
"""Side of the mesh's region in sides of the detector's box."""
GOOD_SCORE = 0.95
"""Score at which no other detection of the same face is tried."""
SPREAD_DISTURBANCES = ((0.88, 0.1, 0.02, 0.0), (1.12, -0.1, 0.0, 0.02), (1.0, 0.2, -0.03, 0.0))
"""Scale, turn (rad) and shifts of the regions that measure a face's spread."""
POSE_FACE = (0, 2, 5, 9, 10)
"""Pose landmarks on the face: nose, eyes, corners of the mouth."""
EYES_OF_MESH = ((362, 263), (133, 33))
"""Corners of the left and the right eye."""
EARS_OF_MESH = (454, 234)
"""Points of the mesh next to the left and the right ear."""
EYE_SHARE, EAR_SHARE = 0.05, 0.12
"""Sigma of nose and eyes, and of the ears, as a share of the face's diagonal."""
BODY_POINTS = 23
"""Body and foot keypoints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """Settings of the search for heads without a body."""

    min_score: float = 0.6
    """Score of the face detector."""
    min_mesh_score: float = 0.5
    """Score of the face mesh."""
    sure_score: float = 0.7
    """Score of a sure face detector."""
    sure_mesh_score: float = 0.9
    """Score of a sure face mesh: one of the two must be sure."""
    max_spread: float = 0.018
    """Median spread of the mesh over other regions, in its diagonals."""
    max_offset: float = 0.35
    """Distance between mesh and detection, in face heights."""
    min_side_px: int = 20
    """Smaller faces are not looked at."""
    min_share: float = 0.05
    """Least side of a face in a given box, as a share of the box's longer side."""
    tile_levels: tuple[int, ...] = (1, 2, 4)
    """Tiles along the longer side; neighbours overlap by half."""
    max_tries: int = 3
    """Detections of one face that the mesh is tried on."""
    max_faces: int = 40
    """Faces a photo, best first."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.min_score <= 1:
            raise ValueError(f"heads min_score must lie in 0.5..1, got {self.min_score}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFace:
    """A face of the detector that the mesh confirms."""

    reading: FaceReading
    detection: FaceDetection
    offset: float
    """Distance between mesh and detection, in face heights."""


def centre(detection: FaceDetection) -> Array:
    """Centre (2,) of a detected face, px."""
    return (detection.box_xyxy[:2] + detection.box_xyxy[2:]) / 2


def side_px(detection: FaceDetection) -> float:
    """Longer side of a detected face's box, px."""
    return float(max(detection.box_xyxy[2:] - detection.box_xyxy[:2]))


def mesh_centre(mesh: Array) -> Array:
    """Centre (2,) of a face mesh (468, 3), between nose, chin and forehead."""
    return mesh[[NOSE, CHIN, FOREHEAD], :2].mean(0)


def mesh_height(mesh: Array) -> float:
    """Forehead to chin, px."""
    return max(float(np.hypot(*(mesh[FOREHEAD, :2] - mesh[CHIN, :2]))), 1e-6)


def detect_faces(networks: Networks, rgb: Array, area: Array, config: HeadConfig) -> list[list[FaceDetection]]:
    """Returns the faces inside an xyxy area (4,) of the photo, best first; each with all its detections."""
    x, y = area[:2]
    width, height = (int(v) for v in area[2:] - area[:2])
    seen: list[FaceDetection] = []
    for level in config.tile_levels:
        for tile in tiles(width, height, level):
            region = Region(tile.x_px + float(x), tile.y_px + float(y), tile.side_px)
            seen += [d for d in networks.detect_faces(rgb, region) if side_px(d) >= config.min_side_px]
    groups: list[list[FaceDetection]] = []
    for detection in sorted(seen, key=lambda d: -d.score):
        for group in groups:
            if np.hypot(*(centre(detection) - centre(group[0]))) < 0.5 * max(side_px(detection), side_px(group[0])):
                group.append(detection)
                break
        else:
            groups.append([detection])
    inside = [g for g in groups if np.all(centre(g[0]) >= area[:2]) and np.all(centre(g[0]) <= area[2:])]
    return [g for g in inside if g[0].score >= config.min_score][: config.max_faces]


def face_spread(networks: Networks, rgb: Array, reading: FaceReading) -> float:
    """Median distance of four readings to their median, in diagonals of the face."""
    regions = [reading.region.moved(scale=f, turn_rad=t, dx=dx, dy=dy) for f, t, dx, dy in SPREAD_DISTURBANCES]
    stack = np.stack([reading.landmarks[:, :2], *(networks.face(rgb, r).landmarks[:, :2] for r in regions)])
    distances = np.linalg.norm(stack - np.median(stack, axis=0), axis=2)
    return float(np.median(distances)) / max(float(np.hypot(*np.ptp(stack[0], axis=0))), 1e-6)


def confirm(networks: Networks, rgb: Array, group: list[FaceDetection], config: HeadConfig) -> FoundFace | None:
    """Reads the mesh of a detected face; None where it does not hold."""
    best: tuple[FaceReading, float] | None = None
    for detection in group[: config.max_tries]:
        x, y = centre(detection)
        eyes = detection.points[1] - detection.points[0]
        region = Region(float(x), float(y), REGION_FACTOR * side_px(detection), math.atan2(eyes[1], eyes[0]))
        reading = read_face(networks, rgb, region)
        height = mesh_height(reading.landmarks)
        offset = float(np.hypot(*(mesh_centre(reading.landmarks) - centre(detection)))) / height
        fits = offset < config.max_offset and 0.4 < height / side_px(detection) < 2.5
        if fits and (best is None or reading.score > best[0].score):
            best = reading, offset
        if best is not None and best[0].score > GOOD_SCORE:
            break
    if best is None or best[0].score <= config.min_mesh_score:
        return None
    if group[0].score < config.sure_score and best[0].score < config.sure_mesh_score:
        return None
    if face_spread(networks, rgb, best[0]) > config.max_spread:
        return None
    return FoundFace(reading=best[0], detection=group[0], offset=best[1])


def is_head_of(face_px: Array, face_side_px: float, pose: Array) -> bool:
    """Whether a face at (2,) lies in the head of (33, 2+) pose landmarks."""
    expected = pose[list(POSE_FACE), :2].mean(0)
    return float(np.hypot(*(face_px - expected))) < 0.7 * max(head_side(pose), face_side_px)


def head_box(mesh: Array, width: int, height: int) -> Array:
    """Returns the xyxy box (4,) of the head around a face mesh (468, 3), with room for skull and ears."""
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    up = mesh[FOREHEAD, :2] - mesh[CHIN, :2]
    crown = mesh[FOREHEAD, :2] + 0.35 * up
    side_margin = np.array([0.18 * mesh_height(mesh), 0])
    low, high = np.minimum(low - side_margin, crown), np.maximum(high + side_margin, crown)
    return np.clip(np.concatenate([low, high]), 0, [width, height, width, height])


def head_points(mesh: Array, width: int, height: int) -> tuple[Array, Array, Array]:
    """Returns nose, eyes and ears among the 23 body and foot keypoints of a face mesh (468, 3).

    The far ear of a turned head is hidden: it counts as unseen.

    Returns:
        Points (23, 2), sigma (23,) inf where not seen, and the same sigma again: it has no floors.
    """
    points, sigma = np.zeros((BODY_POINTS, 2)), np.full(BODY_POINTS, np.inf)
    size = float(np.hypot(*np.ptp(mesh[:, :2], axis=0)))
    points[0] = mesh[NOSE, :2]
    points[1:3] = [mesh[list(corners), :2].mean(0) for corners in EYES_OF_MESH]
    points[3:5] = mesh[list(EARS_OF_MESH), :2]
    sigma[:3] = EYE_SHARE * size
    reach = np.hypot(*(points[3:5] - points[0]).T)
    sigma[3:5] = np.where(reach > 0.35 * reach.max(), EAR_SHARE * size, np.inf)
    outside = np.any((points < 0) | (points > [width, height]), axis=1)
    sigma[outside] = np.inf
    return points, sigma, sigma.copy()
