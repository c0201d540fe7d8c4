"""ONNX networks of the shapes and about the cost of DWPose-l and YOLOX-l, with random weights.

Plain chains of 3x3 convolutions: multiply-adds as published (pose 10 G, detector 78 G), so that a second of theirs is
about one of the official files'. Needs the package onnx.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

POSE_SIZE, TINY_POSE_SIZE = (288, 384), (96, 128)
DETECTOR_SIZE, TINY_DETECTOR_SIZE = (640, 640), (160, 160)
NUM_KEYPOINTS, NUM_COLUMNS = 133, 85


def has_onnx() -> bool:
    """Whether such files can be written and run."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


class _Chain:
    """Nodes and weights of a network, and its multiply-adds."""

    def __init__(self, width: int, height: int) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._to_tensor = helper, numpy_helper.from_array
        self._random = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.multiply_adds = 0
        self.size = {"images": (3, height, width)}

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self._to_tensor(array, name))
        return name

    def add(self, operator: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def conv(self, source: str, channels: int, *, stride: int = 1, kernel: int = 3, scale: float = 1.0) -> str:
        """Convolution with weights that keep the size of signals, times ``scale``; no bias."""
        before, height, width = self.size[source]
        weights = self._random.normal(size=(channels, before, kernel, kernel)) * (2 / (before * kernel**2)) ** 0.5
        name = self.add(
            "Conv", source, self.constant((scale * weights).astype(np.float32)), strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )  # fmt: skip
        self.size[name] = (channels, height // stride, width // stride)
        self.multiply_adds += weights.size * height * width // stride**2
        return name

    def layer(self, source: str, channels: int, *, stride: int = 1) -> str:
        """Convolution and ReLU."""
        name = self.conv(source, channels, stride=stride)
        relu = self.add("Relu", name)
        self.size[relu] = self.size[name]
        return relu

    def write(self, path: Path, batch: int | str, outputs: dict[str, list[int | str]]) -> Path:
        import onnx

        info, kind = self._helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        graph = self._helper.make_graph(
            self.nodes, "random", [info("images", kind, [batch, *self.size["images"]])],
            [info(name, kind, shape) for name, shape in outputs.items()], self.weights,
        )  # fmt: skip
        model = self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, str(path))
        return path


def write_pose(path: Path, size: str) -> Path:
    """A pose network: input (N, 3, 384, 288), two axis profiles of 133 keypoints."""
    width, height = TINY_POSE_SIZE if size == "tiny" else POSE_SIZE
    channels, depth = (8, 1) if size == "tiny" else (96, 16)
    chain = _Chain(width, height)
    at = chain.layer(chain.layer("images", channels // 2, stride=2), channels, stride=2)
    for _ in range(depth):
        at = chain.layer(at, channels)
    for stage in (2, 3):
        at = chain.layer(at, stage * channels, stride=2)
    at = chain.conv(at, NUM_KEYPOINTS, stride=2)
    places = chain.size[at][1] * chain.size[at][2]
    flat = chain.add("Reshape", at, chain.constant(np.array([0, NUM_KEYPOINTS, places], np.int64)))
    outputs: dict[str, list[int | str]] = {}
    for name, side in (("simcc_x", width), ("simcc_y", height)):
        spread = np.random.default_rng(1).normal(size=(places, 2 * side)) * 0.2 / places**0.5
        chain.add("MatMul", flat, chain.constant(spread.astype(np.float32)), out=name)
        outputs[name] = ["batch", NUM_KEYPOINTS, 2 * side]
    return chain.write(path, "batch", outputs)


def write_detector(path: Path, size: str) -> Path:
    """A detector: input (1, 3, 640, 640), output (1, 8400, 85), in which it finds next to nobody."""
    width, height = TINY_DETECTOR_SIZE if size == "tiny" else DETECTOR_SIZE
    channels, depth = (8, 1) if size == "tiny" else (256, 17)
    chain = _Chain(width, height)
    at = "images"
    for share in (4, 2, 1):
        at = chain.layer(at, channels // share, stride=2)
    rows = []
    for level in range(3):
        at = chain.layer(at, channels * 2 ** min(level, 1), stride=2) if level else at
        for _ in range(1 if level else depth):
            at = chain.layer(at, chain.size[at][0])
        read = chain.conv(at, NUM_COLUMNS, kernel=1, scale=1e-3)
        flat = chain.add("Reshape", read, chain.constant(np.array([0, NUM_COLUMNS, -1], np.int64)))
        rows.append(chain.add("Transpose", flat, perm=[0, 2, 1]))
    chain.add("Concat", *rows, out="output", axis=1)
    cells = sum((width // stride) * (height // stride) for stride in (8, 16, 32))
    return chain.write(path, 1, {"output": [1, cells, NUM_COLUMNS]})
