"""Runs MediaPipe's networks on regions that we choose.

MediaPipe's own solutions return one person a photo and choose the regions themselves. Here every network gets a square
crop; the crop and the way back to photo pixels are ours. Networks are created once a thread and guarded by a lock.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, util
from pathlib import Path

import numpy as np

from model.estimators.base import Array, EstimatorInfo
from model.estimators.mediapipe.graphs.decode import anchor_centres, detections, logistic, moved_to_heat
from model.estimators.mediapipe.graphs.interpreter import Network
from model.estimators.mediapipe.graphs.regions import Region, crop, lean_rad, to_photo, turn_world, uncropped
from model.estimators.mediapipe.graphs.stderr import without_harmless_lines

MODEL_FILES = {
    "detector": "pose_detection/pose_detection.tflite",
    "pose": "pose_landmark/pose_landmark_full.tflite",
    "hand": "hand_landmark/hand_landmark_full.tflite",
    "face": "face_landmark/face_landmark.tflite",
    "face_detector": "face_detection/face_detection_short_range.tflite",
    "eye": "iris_landmark/iris_landmark.tflite",
}
"""Files of the networks, in the folder ``modules`` of the package."""

DETECTOR_SIDE_PX, MIN_DETECTOR_SCORE = 224, 0.3
POSE_SIDE_PX = 256
HAND_SIDE_PX = 224
FACE_SIDE_PX = 192
EYE_SIDE_PX = 64
FACE_DETECTOR_SIDE_PX, MIN_FACE_DETECTOR_SCORE = 128, 0.5
DETECTOR_ANCHORS = ((8, 2), (16, 2), (32, 6))
FACE_DETECTOR_ANCHORS = ((8, 2), (16, 6))
"""Stride in px and number of anchors a cell, of each layer."""
NUM_POSE, NUM_POSE_AUXILIARY = 33, 2
HAND_DEPTH = 0.4
"""Unit of the depth of a hand's landmarks, in px of the crop."""

LICENCE = "Apache-2.0"
METHOD_VERSION = "10"
"""Of the search around the networks: raised when it gives other answers, so that files of before are made again."""

EYE_CORNERS, EYE_LIDS = (0, 8), (12, 4)
"""Points of the iris network's contour: outer and inner corner of the eye; middle of the upper and the lower lid."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One person of the detector, in photo pixels."""

    score: float
    head_xyxy: Array
    """(4,) box of the head."""
    hip_px: Array
    """(2,) centre between the hips."""
    radius_px: float
    """Radius of the circle about the hips that holds the whole person."""
    rotation_rad: float
    """Lean of the hips-to-head axis, 0 = upright."""


@dataclass(frozen=True, slots=True)
class FaceDetection:
    """One face of the face detector, in photo pixels."""

    score: float
    box_xyxy: Array
    """(4,) box of the face, brows to chin."""
    points: Array
    """(6, 2) right eye, left eye, nose tip, mouth, right ear, left ear."""


@dataclass(frozen=True, slots=True)
class PoseReading:
    """Output of the pose network."""

    score: float
    landmarks: Array
    """(33, 5) x, y, z in px, visibility, presence."""
    auxiliary: Array
    """(2, 2) hip centre and a point on the person's circle, px."""
    world_m: Array
    """(33, 3) metres about the hip centre, axes of the camera frame."""
    region: Region


@dataclass(frozen=True, slots=True)
class HandReading:
    """Output of the hand network."""

    score: float
    right: float
    """Probability that it is a right hand."""
    landmarks: Array
    """(21, 3) x, y, z in px."""
    world_m: Array
    """(21, 3) metres, axes of the camera frame."""
    region: Region


@dataclass(frozen=True, slots=True)
class FaceReading:
    """Output of the face network."""

    score: float
    landmarks: Array
    """(468, 3) x, y, z in px."""
    region: Region


@dataclass(frozen=True, slots=True)
class EyeReading:
    """Output of the iris network."""

    corners: Array
    """(2, 2) outer and inner corner, px."""
    lids: Array
    """(2, 2) middle of the upper and the lower lid, px."""
    iris: Array
    """(2,) centre of the iris, px."""


def network_folder() -> Path:
    """Folder of the networks in the package mediapipe, which itself is not imported."""
    found = util.find_spec("mediapipe")
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            "the mediapipe estimators need the package mediapipe 0.10.21: pip install --no-deps mediapipe==0.10.21"
        )
    folder = Path(found.submodule_search_locations[0]) / "modules"
    missing = [file for file in MODEL_FILES.values() if not (folder / file).is_file()]
    if missing:
        raise ImportError(
            f"the installed mediapipe lacks modules/{', modules/'.join(missing)}: install the version that ships its "
            "models, pip install --no-deps mediapipe==0.10.21"
        )
    return folder


class Networks:
    """The networks of a process; safe to call from several threads, one call at a time."""

    def __init__(self) -> None:
        modules = network_folder()
        paths = {name: modules / file for name, file in MODEL_FILES.items()}
        self._lock = threading.Lock()
        self._pose_file = paths["pose"]
        self._detector = Network(paths["detector"], low=-1)
        self._pose = Network(paths["pose"], low=0, outputs=(0, 1, 3, 4))  # 2 is a mask of the person, see `mask`
        self._hand = Network(paths["hand"], low=0)
        self._face = Network(paths["face"], low=0)
        self._face_detector = Network(paths["face_detector"], low=-1)
        self._eye = Network(paths["eye"], low=0)
        self._detector_anchors = anchor_centres(DETECTOR_SIDE_PX, DETECTOR_ANCHORS)
        self._face_detector_anchors = anchor_centres(FACE_DETECTOR_SIDE_PX, FACE_DETECTOR_ANCHORS)
        digest = hashlib.sha256()
        for file in sorted(MODEL_FILES.values()):
            digest.update((modules / file).read_bytes())
        self.info = EstimatorInfo(
            name="mediapipe",
            version=f"{METHOD_VERSION}-{metadata.version('mediapipe')}",
            weights_sha256=digest.hexdigest(),
            licence=LICENCE,
        )

    def detect(self, rgb: Array, region: Region) -> list[Detection]:
        """Returns all people that the detector sees in a region, best first."""
        with self._lock:
            raw, logits = self._detector(crop(rgb, region, DETECTOR_SIDE_PX, black_outside=True))
        found = []
        seen = detections(raw, logits[:, 0], self._detector_anchors, DETECTOR_SIDE_PX, MIN_DETECTOR_SCORE)
        for score, points in seen:
            low, high, hip, circle = to_photo(points[:4], region)
            axis = circle - hip
            found.append(
                Detection(
                    score=score,
                    head_xyxy=np.concatenate([np.minimum(low, high), np.maximum(low, high)]),
                    hip_px=hip,
                    radius_px=float(np.hypot(*axis)),
                    rotation_rad=lean_rad(axis),
                )
            )
        return found

    def detect_faces(self, rgb: Array, region: Region) -> list[FaceDetection]:
        """Returns all faces that the face detector sees in a region, best first."""
        with self._lock:
            raw, logits = self._face_detector(crop(rgb, region, FACE_DETECTOR_SIDE_PX, black_outside=True))
        found = []
        seen = detections(
            raw, logits[:, 0], self._face_detector_anchors, FACE_DETECTOR_SIDE_PX, MIN_FACE_DETECTOR_SCORE
        )
        for score, points in seen:
            placed = to_photo(points, region)
            box_xyxy = np.concatenate([placed[:2].min(0), placed[:2].max(0)])
            found.append(FaceDetection(score=score, box_xyxy=box_xyxy, points=placed[2:]))
        return found

    def pose(self, rgb: Array, region: Region, *, mirrored: bool = False) -> PoseReading:
        """Reads the pose in a region; with ``mirrored`` from the mirror image, sides not yet swapped back."""
        with self._lock:
            raw, score, heat, world = self._pose(crop(rgb, region, POSE_SIDE_PX, mirrored=mirrored))
        points = raw.reshape(-1, 5)
        points = np.concatenate([points[:, :3] / POSE_SIDE_PX, logistic(points[:, 3:])], axis=1)
        points = to_photo(moved_to_heat(points, heat), region, mirrored=mirrored)
        return PoseReading(
            score=float(score[0]),
            landmarks=points[:NUM_POSE],
            auxiliary=points[NUM_POSE : NUM_POSE + NUM_POSE_AUXILIARY, :2],
            world_m=turn_world(world.reshape(-1, 3)[:NUM_POSE].astype(float), region, mirrored=mirrored),
            region=region,
        )

    def mask(self, rgb: Array, region: Region) -> Array:
        """Reads which pixels of a region are the person whose pose is read there.

        Returns:
            (H, W) float32 probabilities of the photo's pixels; outside the region 0.5.
        """
        with self._lock:
            (logits,) = self._masks(crop(rgb, region, POSE_SIDE_PX))
        return uncropped(logistic(logits[..., 0]), region, rgb.shape[1], rgb.shape[0], outside=0.5)

    @cached_property
    def _masks(self) -> Network:
        """The pose network with nothing but its mask: most runs read none, and the mask is a third of its time."""
        with _CREATION, without_harmless_lines():
            network = Network(self._pose_file, low=0, outputs=(2,))
            network(np.zeros((POSE_SIDE_PX, POSE_SIDE_PX, 3), np.uint8))
        return network

    def hand(self, rgb: Array, region: Region) -> HandReading:
        """Reads the hand in a region."""
        with self._lock:
            raw, score, right, world = self._hand(crop(rgb, region, HAND_SIDE_PX))
        points = raw.reshape(-1, 3) / (HAND_SIDE_PX * np.array([1, 1, HAND_DEPTH], np.float32))
        return HandReading(
            score=float(score[0]),
            right=float(right[0]),
            landmarks=to_photo(points, region),
            world_m=turn_world(world.reshape(-1, 3).astype(float), region),
            region=region,
        )

    def face(self, rgb: Array, region: Region) -> FaceReading:
        """Reads the face in a region."""
        with self._lock:
            raw, logit = self._face(crop(rgb, region, FACE_SIDE_PX))
        points = raw.reshape(-1, 3) / FACE_SIDE_PX
        return FaceReading(score=float(logistic(logit.ravel()[0])), landmarks=to_photo(points, region), region=region)

    def eye(self, rgb: Array, region: Region, *, mirrored: bool = False) -> EyeReading:
        """Reads the right eye in a region, or with ``mirrored`` the left one from its mirror image."""
        with self._lock:
            found = self._eye(crop(rgb, region, EYE_SIDE_PX, mirrored=mirrored))
        contour, iris = (to_photo(raw.reshape(-1, 3)[:, :2] / EYE_SIDE_PX, region, mirrored=mirrored) for raw in found)
        return EyeReading(corners=contour[list(EYE_CORNERS)], lids=contour[list(EYE_LIDS)], iris=iris[0])


_CREATION = threading.Lock()
_OF_THREAD = threading.local()


def _create() -> Networks:
    with without_harmless_lines():
        created = Networks()
        blank, region = np.zeros((8, 8, 3), np.uint8), Region(4.0, 4.0, 8.0)
        for first_call in (created.detect, created.detect_faces, created.pose, created.hand, created.face, created.eye):
            first_call(blank, region)  # a network says its last word at its first inference
    return created


def networks() -> Networks:
    """Returns the networks of the calling thread, created on its first call.

    Each thread has its own, so that estimators built by two threads run at the same time; one that is lent to another
    thread afterwards stays safe, because a call holds the lock of its networks.
    """
    if not hasattr(_OF_THREAD, "networks"):
        with _CREATION:
            _OF_THREAD.networks = _create()
    return _OF_THREAD.networks
