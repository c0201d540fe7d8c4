"""Texts of the calculator graphs: each network gets a square crop, ready cut, and gives raw packets."""

from __future__ import annotations

NUM_POSE = 33
NUM_POSE_AUXILIARY = 2
NUM_HAND = 21
NUM_FACE = 468
NUM_EYE = 71
NUM_IRIS = 5

DETECTOR_SIDE_PX = 224
POSE_SIDE_PX = 256
HAND_SIDE_PX = 224
FACE_SIDE_PX = 192
EYE_SIDE_PX = 64
FACE_DETECTOR_SIDE_PX = 128

MODEL_FILES = {
    "detector": "mediapipe/modules/pose_detection/pose_detection.tflite",
    "pose": "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "hand": "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    "face": "mediapipe/modules/face_landmark/face_landmark.tflite",
    "face_detector": "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "eye": "mediapipe/modules/iris_landmark/iris_landmark.tflite",
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
    "eye": _to_tensor(EYE_SIDE_PX, 0.0)
    + _inference("eye")
    + _split(["eye", "iris"])
    + _landmarks("eye", NUM_EYE, side=EYE_SIDE_PX)
    + _landmarks("iris", NUM_IRIS, side=EYE_SIDE_PX),
}
"""Graph configurations, as text, of the networks."""
