"""Runs MediaPipe's networks on regions that we choose.

MediaPipe's own solutions return one person a photo and choose the regions themselves. Here every network is a tiny
calculator graph that gets a square crop; the crop and the way back to photo pixels are ours. Networks are created once
a thread and guarded by a lock.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.estimators.base import Array, EstimatorInfo
from model.estimators.mediapipe.graphs.regions import Region, crop, lean_rad, to_photo, turn_world
from model.estimators.mediapipe.graphs.stderr import without_harmless_lines
from model.estimators.mediapipe.graphs.texts import (
    DETECTOR_SIDE_PX,
    EYE_SIDE_PX,
    FACE_DETECTOR_SIDE_PX,
    FACE_SIDE_PX,
    GRAPHS,
    HAND_SIDE_PX,
    MODEL_FILES,
    NUM_EYE,
    NUM_FACE,
    NUM_HAND,
    NUM_IRIS,
    NUM_POSE,
    NUM_POSE_AUXILIARY,
    POSE_SIDE_PX,
)

LICENCE = "Apache-2.0"
METHOD_VERSION = "8"
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


def _import_mediapipe() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")
    try:
        import mediapipe
        from mediapipe.python import packet_creator, packet_getter
        from mediapipe.python._framework_bindings import calculator_graph, resource_util
    except ImportError as error:
        raise ImportError(
            "the mediapipe estimators need the package mediapipe 0.10.21: pip install --no-deps mediapipe==0.10.21"
        ) from error
    resource_util.set_resource_dir(str(_resource_root(mediapipe)))
    return mediapipe, packet_creator, packet_getter, calculator_graph


def _resource_root(mediapipe: Any) -> Path:
    return Path(mediapipe.__file__).resolve().parents[1]


class _Graph:
    """One running calculator graph: an image in, packets out."""

    def __init__(self, modules: Any, text: str, outputs: list[str]) -> None:
        self._mediapipe, self._creator, self._getter, calculator_graph = modules
        self._graph = calculator_graph.CalculatorGraph(graph_config=text)
        self._packets: dict[str, Any] = {}
        for name in outputs:
            self._graph.observe_output_stream(name, self._packets.__setitem__, True)
        self._graph.start_run()
        self._time = 0

    def __call__(self, rgb: Array) -> dict[str, Any]:
        self._time += 1
        self._packets.clear()
        image = self._creator.create_image_frame(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        self._graph.add_packet_to_input_stream("image", image.at(self._time))
        self._graph.wait_until_idle()
        return {name: packet for name, packet in self._packets.items() if not packet.is_empty()}

    def landmarks(self, packet: Any, count: int, *, with_visibility: bool = False) -> Array:
        points = self._getter.get_proto(packet).landmark[:count]
        if with_visibility:
            return np.array([[p.x, p.y, p.z, p.visibility, p.presence] for p in points])
        return np.array([[p.x, p.y, p.z] for p in points])

    def number(self, packet: Any) -> float:
        return float(self._getter.get_float(packet))

    def protos(self, packet: Any) -> list[Any]:
        return self._getter.get_proto_list(packet)


class Networks:
    """The networks of a process; safe to call from several threads, one call at a time."""

    def __init__(self) -> None:
        modules = _import_mediapipe()
        root = _resource_root(modules[0])
        missing = [file for file in MODEL_FILES.values() if not (root / file).is_file()]
        if missing:
            raise ImportError(
                f"the installed mediapipe lacks {', '.join(missing)}: install the version that ships its models, "
                "pip install --no-deps mediapipe==0.10.21"
            )
        self._lock = threading.Lock()
        self._detector = _Graph(modules, GRAPHS["detector"], ["detections"])
        self._pose = _Graph(modules, GRAPHS["pose"], ["landmarks", "world", "score"])
        self._hand = _Graph(modules, GRAPHS["hand"], ["landmarks", "world", "score", "handedness"])
        self._face = _Graph(modules, GRAPHS["face"], ["landmarks", "score"])
        self._face_detector = _Graph(modules, GRAPHS["face_detector"], ["detections"])
        self._eye = _Graph(modules, GRAPHS["eye"], ["eye", "iris"])
        digest = hashlib.sha256()
        for file in sorted(MODEL_FILES.values()):
            digest.update((root / file).read_bytes())
        self.info = EstimatorInfo(
            name="mediapipe",
            version=f"{METHOD_VERSION}-{modules[0].__version__}",
            weights_sha256=digest.hexdigest(),
            licence=LICENCE,
        )

    def _search(
        self, graph: _Graph, rgb: Array, region: Region, side_px: int
    ) -> list[tuple[float, list[list[float]], list[list[float]]]]:
        """Score, points and the box's two corners of what a detector sees, as shares of the region."""
        with self._lock:
            packets = graph(crop(rgb, region, side_px, black_outside=True))
            protos = graph.protos(packets["detections"]) if "detections" in packets else []
        found = []
        for proto in protos:
            box = proto.location_data.relative_bounding_box
            points = [[p.x, p.y] for p in proto.location_data.relative_keypoints]
            corners = [[box.xmin, box.ymin], [box.xmin + box.width, box.ymin + box.height]]
            found.append((float(proto.score[0]), points, corners))
        return found

    def detect(self, rgb: Array, region: Region) -> list[Detection]:
        """Returns all people that the detector sees in a region, best first."""
        found = []
        for score, points, corners in self._search(self._detector, rgb, region, DETECTOR_SIDE_PX):
            hip, circle, low, high = to_photo(np.array([*points[:2], *corners]), region)
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
        return sorted(found, key=lambda d: -d.score)

    def detect_faces(self, rgb: Array, region: Region) -> list[FaceDetection]:
        """Returns all faces that the face detector sees in a region, best first."""
        found = []
        for score, points, corners in self._search(self._face_detector, rgb, region, FACE_DETECTOR_SIDE_PX):
            placed = to_photo(np.array([*points, *corners]), region)
            box_xyxy = np.concatenate([placed[-2:].min(0), placed[-2:].max(0)])
            found.append(FaceDetection(score=score, box_xyxy=box_xyxy, points=placed[:-2]))
        return sorted(found, key=lambda d: -d.score)

    def pose(self, rgb: Array, region: Region, *, mirrored: bool = False) -> PoseReading:
        """Reads the pose in a region; with ``mirrored`` from the mirror image, sides not yet swapped back."""
        with self._lock:
            packets = self._pose(crop(rgb, region, POSE_SIDE_PX, mirrored=mirrored))
            points = self._pose.landmarks(packets["landmarks"], 39, with_visibility=True)
            world = self._pose.landmarks(packets["world"], NUM_POSE)
            score = self._pose.number(packets["score"])
        points = to_photo(points, region, mirrored=mirrored)
        return PoseReading(
            score=score,
            landmarks=points[:NUM_POSE],
            auxiliary=points[NUM_POSE : NUM_POSE + NUM_POSE_AUXILIARY, :2],
            world_m=turn_world(world, region, mirrored=mirrored),
            region=region,
        )

    def hand(self, rgb: Array, region: Region) -> HandReading:
        """Reads the hand in a region."""
        with self._lock:
            packets = self._hand(crop(rgb, region, HAND_SIDE_PX))
            points = self._hand.landmarks(packets["landmarks"], NUM_HAND)
            world = self._hand.landmarks(packets["world"], NUM_HAND)
            score, right = (self._hand.number(packets[name]) for name in ("score", "handedness"))
        return HandReading(
            score=score,
            right=right,
            landmarks=to_photo(points, region),
            world_m=turn_world(world, region),
            region=region,
        )

    def face(self, rgb: Array, region: Region) -> FaceReading:
        """Reads the face in a region."""
        with self._lock:
            packets = self._face(crop(rgb, region, FACE_SIDE_PX))
            points = self._face.landmarks(packets["landmarks"], NUM_FACE)
            score = self._face.number(packets["score"])
        return FaceReading(score=score, landmarks=to_photo(points, region), region=region)

    def eye(self, rgb: Array, region: Region, *, mirrored: bool = False) -> EyeReading:
        """Reads the right eye in a region, or with ``mirrored`` the left one from its mirror image."""
        with self._lock:
            packets = self._eye(crop(rgb, region, EYE_SIDE_PX, mirrored=mirrored))
            contour = self._eye.landmarks(packets["eye"], NUM_EYE)
            iris = self._eye.landmarks(packets["iris"], NUM_IRIS)
        contour, iris = (to_photo(points[:, :2], region, mirrored=mirrored) for points in (contour, iris))
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
