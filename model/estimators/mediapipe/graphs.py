"""Runs MediaPipe's networks on regions that we choose.

MediaPipe's own solutions return one person a photo and choose the regions themselves. Here every network is a tiny
calculator graph that gets a square crop; the crop and the way back to photo pixels are ours. Networks are created once
a thread and guarded by a lock.

Convention: a region is a square, rotated by ``rotation`` radians (positive = clockwise on the screen).
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from model.estimators.base import Array, EstimatorInfo
from model.estimators.mediapipe.stderr import without_harmless_lines

NUM_POSE = 33
NUM_POSE_AUXILIARY = 2
NUM_HAND = 21
NUM_FACE = 468
LICENCE = "Apache-2.0"

DETECTOR_SIDE_PX = 224
POSE_SIDE_PX = 256
HAND_SIDE_PX = 224
FACE_SIDE_PX = 192
FACE_DETECTOR_SIDE_PX = 128
MAX_SHRINK = 8
"""Largest factor by which a crop is averaged down; beyond, pixels are skipped."""

MODEL_FILES = {
    "detector": "mediapipe/modules/pose_detection/pose_detection.tflite",
    "pose": "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "hand": "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    "face": "mediapipe/modules/face_landmark/face_landmark.tflite",
    "face_detector": "mediapipe/modules/face_detection/face_detection_short_range.tflite",
}
"""Model files inside the package, relative to its parent folder."""


def _to_tensor(side: int, low: float) -> str:
    return (
        'input_stream: "image"\n'
        'node { calculator: "ImageToTensorCalculator" input_stream: "IMAGE:image" output_stream: "TENSORS:input"'
        " options { [mediapipe.ImageToTensorCalculatorOptions.ext] {"
        f" output_tensor_width: {side} output_tensor_height: {side}"
        f" output_tensor_float_range {{ min: {low} max: 1.0 }} }} }} }}\n"
    )


def _inference(model: str) -> str:
    return (
        'node { calculator: "InferenceCalculator" input_stream: "TENSORS:input" output_stream: "TENSORS:output"'
        f' options {{ [mediapipe.InferenceCalculatorOptions.ext] {{ model_path: "{MODEL_FILES[model]}"'
        " delegate { xnnpack { num_threads: 1 } } } } }\n"
    )


def _split(names: list[str]) -> str:
    streams = " ".join(f'output_stream: "t_{name}"' for name in names)
    ranges = " ".join(f"ranges {{ begin: {i} end: {i + 1} }}" for i in range(len(names)))
    return (
        f'node {{ calculator: "SplitTensorVectorCalculator" input_stream: "output" {streams}'
        f" options {{ [mediapipe.SplitVectorCalculatorOptions.ext] {{ {ranges} }} }} }}\n"
    )


def _float(name: str, *, sigmoid: bool = False) -> str:
    options = "options { [mediapipe.TensorsToFloatsCalculatorOptions.ext] { activation: SIGMOID } }" if sigmoid else ""
    return (
        f'node {{ calculator: "TensorsToFloatsCalculator" input_stream: "TENSORS:t_{name}"'
        f' output_stream: "FLOAT:{name}" {options} }}\n'
    )


def _landmarks(name: str, count: int, *, side: int | None = None, output: str | None = None, extra: str = "") -> str:
    kind = "NORM_LANDMARKS" if side else "LANDMARKS"
    size = f"input_image_width: {side} input_image_height: {side}" if side else ""
    return (
        f'node {{ calculator: "TensorsToLandmarksCalculator" input_stream: "TENSORS:t_{name}"'
        f' output_stream: "{kind}:{output or name}" options {{ [mediapipe.TensorsToLandmarksCalculatorOptions.ext] {{'
        f" num_landmarks: {count} {size} {extra} }} }} }}\n"
    )


def _detections(
    side: int, strides: tuple[int, ...], num_boxes: int, num_keypoints: int, *, min_score: float, outputs: str
) -> str:
    """Anchors, decoding and suppression of a detector whose square input has the given side."""
    stride_list = " ".join(f"strides: {stride}" for stride in strides)
    return f"""
node {{ calculator: "SsdAnchorsCalculator" output_side_packet: "anchors"
  options {{ [mediapipe.SsdAnchorsCalculatorOptions.ext] {{
    num_layers: {len(strides)} min_scale: 0.1484375 max_scale: 0.75 input_size_width: {side} input_size_height: {side}
    anchor_offset_x: 0.5 anchor_offset_y: 0.5 {stride_list} aspect_ratios: 1.0 fixed_anchor_size: true }} }} }}
node {{ calculator: "TensorsToDetectionsCalculator" input_stream: "TENSORS:output" input_side_packet: "ANCHORS:anchors"
  output_stream: "DETECTIONS:raw"
  options {{ [mediapipe.TensorsToDetectionsCalculatorOptions.ext] {{
    num_classes: 1 num_boxes: {num_boxes} num_coords: {4 + 2 * num_keypoints} box_coord_offset: 0
    keypoint_coord_offset: 4 num_keypoints: {num_keypoints} num_values_per_keypoint: 2 sigmoid_score: true
    score_clipping_thresh: 100.0 reverse_output_order: true x_scale: {side} y_scale: {side} h_scale: {side}
    w_scale: {side} min_score_thresh: {min_score} }} }} }}
node {{ calculator: "NonMaxSuppressionCalculator" input_stream: "raw" output_stream: "{outputs}"
  options {{ [mediapipe.NonMaxSuppressionCalculatorOptions.ext] {{
    min_suppression_threshold: 0.3 overlap_type: INTERSECTION_OVER_UNION algorithm: WEIGHTED }} }} }}
"""


_POSE_ACTIVATION = "visibility_activation: SIGMOID presence_activation: SIGMOID"

GRAPHS = {
    "detector": _to_tensor(DETECTOR_SIDE_PX, -1.0)
    + _inference("detector")
    + _detections(DETECTOR_SIDE_PX, (8, 16, 32, 32, 32), 2254, 4, min_score=0.3, outputs="detections"),
    "face_detector": _to_tensor(FACE_DETECTOR_SIDE_PX, -1.0)
    + _inference("face_detector")
    + _detections(FACE_DETECTOR_SIDE_PX, (8, 16, 16, 16), 896, 6, min_score=0.5, outputs="detections"),
    "pose": _to_tensor(POSE_SIDE_PX, 0.0)
    + _inference("pose")
    + _split(["coarse", "score", "mask", "heat", "world"])
    + _float("score")
    + _landmarks("coarse", 39, side=POSE_SIDE_PX, extra=_POSE_ACTIVATION)
    + 'node { calculator: "RefineLandmarksFromHeatmapCalculator" input_stream: "NORM_LANDMARKS:coarse"'
    ' input_stream: "TENSORS:t_heat" output_stream: "NORM_LANDMARKS:landmarks"'
    " options { [mediapipe.RefineLandmarksFromHeatmapCalculatorOptions.ext] { kernel_size: 7 } } }\n"
    + _landmarks("world", 39),
    "hand": _to_tensor(HAND_SIDE_PX, 0.0)
    + _inference("hand")
    + _split(["landmarks", "score", "handedness", "world"])
    + _float("score")
    + _float("handedness")
    + _landmarks("landmarks", NUM_HAND, side=HAND_SIDE_PX, extra="normalize_z: 0.4")
    + _landmarks("world", NUM_HAND),
    "face": _to_tensor(FACE_SIDE_PX, 0.0)
    + _inference("face")
    + _split(["landmarks", "score"])
    + _float("score", sigmoid=True)
    + _landmarks("landmarks", NUM_FACE, side=FACE_SIDE_PX),
}
"""Graph configurations, as text, of the networks."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square of a photo."""

    x_px: float
    y_px: float
    side_px: float
    rotation_rad: float = 0.0

    def photo_from_unit(self) -> Array:
        """Returns the (2, 3) affine map from the unit square (0..1, 0..1) to photo pixels."""
        c, s = math.cos(self.rotation_rad) * self.side_px, math.sin(self.rotation_rad) * self.side_px
        return np.array([[c, -s, self.x_px - (c - s) / 2], [s, c, self.y_px - (s + c) / 2]])

    def moved(self, *, scale: float = 1.0, turn_rad: float = 0.0, dx: float = 0.0, dy: float = 0.0) -> Region:
        """Returns a neighbour; ``dx`` and ``dy`` are shares of the side."""
        return Region(
            self.x_px + dx * self.side_px,
            self.y_px + dy * self.side_px,
            self.side_px * scale,
            self.rotation_rad + turn_rad,
        )


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


def crop(rgb: Array, region: Region, side_px: int, *, mirrored: bool = False, black_outside: bool = False) -> Array:
    """Returns the (side, side, 3) crop of a region; with ``mirrored`` its left-right mirror image.

    Outside the photo its edge is repeated, or black with ``black_outside`` (the detector was trained so).
    """
    shrink = min(max(int(region.side_px / side_px), 1), MAX_SHRINK)
    fine_px = shrink * side_px
    photo_from_crop = region.photo_from_unit() @ np.diag([1 / fine_px, 1 / fine_px, 1.0])
    photo_from_crop = photo_from_crop @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    photo_from_crop[:, 2] -= 0.5
    out = cv2.warpAffine(
        rgb,
        photo_from_crop,
        (fine_px, fine_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if black_outside else cv2.BORDER_REPLICATE,
    )
    if shrink > 1:  # warpAffine does not average: large photos would alias
        out = cv2.resize(out, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(out[:, ::-1]) if mirrored else out


def to_photo(points: Array, region: Region, *, mirrored: bool = False) -> Array:
    """Maps (N, 2+) points of the unit square to photo px; a third column is scaled by the side."""
    points = np.array(points, dtype=float)
    if mirrored:
        points[:, 0] = 1 - points[:, 0]
    affine = region.photo_from_unit()
    points[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    if points.shape[1] > 2:
        points[:, 2] *= region.side_px
    return points


def turn_world(points_m: Array, region: Region, *, mirrored: bool = False) -> Array:
    """Rotates (N, 3) world landmarks of a crop into the photo's axes."""
    c, s = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    points_m = points_m * (np.array([-1.0, 1.0, 1.0]) if mirrored else 1.0)
    return points_m @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T


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
        digest = hashlib.sha256()
        for file in sorted(MODEL_FILES.values()):
            digest.update((root / file).read_bytes())
        self.info = EstimatorInfo(
            name="mediapipe",
            version=modules[0].__version__,
            weights_sha256=digest.hexdigest(),
            licence=LICENCE,
        )

    def detect(self, rgb: Array, region: Region) -> list[Detection]:
        """Returns all people that the detector sees in a region, best first."""
        with self._lock:
            packets = self._detector(crop(rgb, region, DETECTOR_SIDE_PX, black_outside=True))
            protos = self._detector.protos(packets["detections"]) if "detections" in packets else []
        found = []
        for proto in protos:
            box = proto.location_data.relative_bounding_box
            points = [[p.x, p.y] for p in proto.location_data.relative_keypoints]
            corners = [[box.xmin, box.ymin], [box.xmin + box.width, box.ymin + box.height]]
            hip, circle, low, high = to_photo(np.array([*points[:2], *corners]), region)
            axis = circle - hip
            found.append(
                Detection(
                    score=float(proto.score[0]),
                    head_xyxy=np.concatenate([np.minimum(low, high), np.maximum(low, high)]),
                    hip_px=hip,
                    radius_px=float(np.hypot(*axis)),
                    rotation_rad=lean_rad(axis),
                )
            )
        return sorted(found, key=lambda d: -d.score)

    def detect_faces(self, rgb: Array, region: Region) -> list[FaceDetection]:
        """Returns all faces that the face detector sees in a region, best first."""
        with self._lock:
            packets = self._face_detector(crop(rgb, region, FACE_DETECTOR_SIDE_PX, black_outside=True))
            protos = self._face_detector.protos(packets["detections"]) if "detections" in packets else []
        found = []
        for proto in protos:
            box = proto.location_data.relative_bounding_box
            points = [[p.x, p.y] for p in proto.location_data.relative_keypoints]
            corners = [[box.xmin, box.ymin], [box.xmin + box.width, box.ymin + box.height]]
            placed = to_photo(np.array([*points, *corners]), region)
            box_xyxy = np.concatenate([placed[-2:].min(0), placed[-2:].max(0)])
            found.append(FaceDetection(score=float(proto.score[0]), box_xyxy=box_xyxy, points=placed[:-2]))
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


def lean_rad(axis: Array) -> float:
    """Rotation of a region whose upward direction is the (2,) photo vector ``axis``; 0 = straight up."""
    return math.atan2(axis[0], -axis[1])


_CREATION = threading.Lock()
_OF_THREAD = threading.local()


def _create() -> Networks:
    with without_harmless_lines():
        created = Networks()
        blank, region = np.zeros((8, 8, 3), np.uint8), Region(4.0, 4.0, 8.0)
        for first_call in (created.detect, created.detect_faces, created.pose, created.hand, created.face):
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
