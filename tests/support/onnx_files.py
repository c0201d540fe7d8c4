"""Small network files of our own in the published layouts of YOLOX and DWPose, whose answers are known.

Written with the package onnx, which only tests need.
"""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="network files of our own are written with the package onnx")
pytest.importorskip("onnxruntime", reason="network files are run with the extra dwpose")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

OPSET = 13
IR_VERSION = 8
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
NUM_KEYPOINTS = 133
SIGMA_BINS = 6.93


class Graph:
    """Collects the nodes and constants of a network."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator, *inputs, out=None, **attributes):
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def write(self, path, inputs, outputs, dtype=TensorProto.FLOAT):
        infos = [[helper.make_tensor_value_info(n, dtype, s) for n, s in io.items()] for io in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "made-for-tests", *infos, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        path = Path(path)
        onnx.save(model, str(path))
        return path


def yolox_output(boxes, scores, size, classes=None):
    """The raw output (1, A, 85) that encodes boxes (P, 4) in canvas px, each at the cell of its centre.

    Small boxes go to the cells of 8 px, larger ones to those of 16 and 32; the score is split between objectness and
    class.
    """
    strides = (8, 16, 32)
    counts = [(size[0] // s) * (size[1] // s) for s in strides]
    raw = np.zeros((1, sum(counts), 85), np.float32)
    raw[..., 4] = 0.01
    for k, (box, score) in enumerate(zip(np.asarray(boxes, float).reshape(-1, 4), scores, strict=True)):
        side = max(box[2] - box[0], box[3] - box[1])
        level = 0 if side < 64 else 1 if side < 160 else 2
        stride = strides[level]
        centre = (box[:2] + box[2:]) / 2
        column, row = np.clip((centre // stride).astype(int), 0, [size[0] // stride - 1, size[1] // stride - 1])
        cell = raw[0, sum(counts[:level]) + row * (size[0] // stride) + column]
        cell[:2] = centre / stride - [column, row]
        cell[2:4] = np.log((box[2:] - box[:2]) / stride)
        cell[4] = np.sqrt(score)
        cell[5:] = 0
        cell[5 + (classes[k] if classes is not None else 0)] = np.sqrt(score)
    return raw


def write_detector(path, boxes, scores, size=(640, 640), *, classes=None, only_if_blue=False, batch=1):
    """A detector that finds the same boxes (canvas px) in every photo.

    With ``only_if_blue`` it finds them only where its first channel, which should be blue, somewhere exceeds 200.
    """
    graph = Graph()
    raw = yolox_output(boxes, scores, size, classes)
    blue = graph.add("Slice", "images", graph.constant([0], np.int64), graph.constant([1], np.int64),
                     graph.constant([1], np.int64))  # fmt: skip
    most = graph.add("ReduceMax", blue, axes=[1, 2, 3], keepdims=1)
    most = graph.add("Reshape", most, graph.constant([-1, 1, 1], np.int64))
    gate = graph.add("Cast", graph.add("Greater", most, graph.constant(200.0)), to=TensorProto.FLOAT)
    zero = graph.add("Mul", most, graph.constant(0.0))
    gate = gate if only_if_blue else graph.add("Add", zero, graph.constant(1.0))
    mask = np.ones((1, 1, 85), np.float32)
    mask[..., 4] = 0
    gated = graph.add("Max", graph.constant(mask), gate)  # 1 but in the objectness column, where the gate decides
    graph.add("Mul", graph.constant(raw), gated, out="output")
    width, height = size
    return graph.write(path, {"images": [batch, 3, height, width]}, {"output": [batch, raw.shape[1], 85]})


def _profiles(size, points, peak):
    """simcc_x (1, K, 2 w) and simcc_y (1, K, 2 h) with hills at points (K, 2) in shares of the crop."""
    points = np.asarray(points, float)
    out = []
    for axis in (0, 1):
        bins = np.arange(2 * size[axis])
        place = points[:, axis, None] * 2 * size[axis]
        out.append((peak * np.exp(-0.5 * ((bins - place) / SIGMA_BINS) ** 2))[None].astype(np.float32))
    return out


def write_fixed_pose(path, points, size=(96, 128), *, peak=1.0, batch="batch"):
    """A pose network that sees the same keypoints (133, 2), in shares of the crop, in whatever it is shown."""
    graph = Graph()
    zero = graph.add("Mul", graph.add("ReduceMean", "input", axes=[1, 2, 3], keepdims=1), graph.constant(0.0))
    zero = graph.add("Reshape", zero, graph.constant([-1, 1, 1], np.int64))
    for name, profile in zip(("simcc_x", "simcc_y"), _profiles(size, points, peak), strict=True):
        graph.add("Add", graph.constant(profile), zero, out=name)
    return graph.write(path, {"input": [batch, 3, size[1], size[0]]}, _simcc_outputs(size, len(points), batch))


def _simcc_outputs(size, num, batch):
    return {"simcc_x": [batch, num, 2 * size[0]], "simcc_y": [batch, num, 2 * size[1]]}


def write_mean_pose(path, size=(48, 64), *, batch="batch"):
    """A pose network whose raw score of keypoint k is the mean of colour channel k mod 3, in 0..1, RGB if fed right."""
    graph = Graph()
    means = graph.add("ReduceMean", "input", axes=[2, 3], keepdims=0)
    means = graph.add("Mul", means, graph.constant(STD / 255))
    means = graph.add("Add", means, graph.constant(MEAN / 255))
    picked = graph.add("Gather", means, graph.constant(np.arange(NUM_KEYPOINTS) % 3, np.int64), axis=1)
    picked = graph.add("Unsqueeze", picked, graph.constant([2], np.int64))
    for name, side in zip(("simcc_x", "simcc_y"), size, strict=True):
        graph.add("Mul", picked, graph.constant(np.ones((1, 1, 2 * side))), out=name)
    return graph.write(path, {"input": [batch, 3, size[1], size[0]]}, _simcc_outputs(size, NUM_KEYPOINTS, batch))


def dot_colours(num=NUM_KEYPOINTS):
    """Colours (num, 3) uint8 that lie far apart, none of them near black or grey 60."""
    levels = [20, 80, 140, 200, 250]
    grid = np.array([(r, g, b) for r in levels for g in levels for b in levels if max(r, g, b) > 100])
    grid = grid[np.abs(grid - 60).max(1) > 50]
    if num > len(grid):
        extra = np.array([(r, g, b) for r in (50, 110, 170, 225) for g in (50, 110, 170, 225) for b in (110, 170, 225)])
        grid = np.concatenate([grid, extra])
    return grid[:num].astype(np.uint8)


def write_dot_pose(path, size=(96, 128), *, num=NUM_KEYPOINTS, batch="batch", window=5):
    """A pose network that finds keypoint k where a dot of colour k is: nearness of colour, averaged over a window.

    Raw score: about 1 for a dot that fills the window, -0.05 where there is none.
    """
    graph = Graph()
    colours = dot_colours(num).astype(np.float32)
    unit = colours / 255
    photo = graph.add("Mul", "input", graph.constant((STD / 255)[None, :, None, None]))
    photo = graph.add("Add", photo, graph.constant((MEAN / 255)[None, :, None, None]))
    squares = graph.add("ReduceSum", graph.add("Mul", photo, photo), graph.constant([1], np.int64), keepdims=1)
    cross = graph.add("Conv", photo, graph.constant(2 * unit[:, :, None, None]))
    near = graph.add("Sub", graph.add("Sub", cross, squares), graph.constant((unit**2).sum(1)[None, :, None, None]))
    near = graph.add("Exp", graph.add("Mul", near, graph.constant(400.0)))
    near = graph.add("AveragePool", near, kernel_shape=[window, window], pads=[window // 2] * 4, count_include_pad=1)
    near = graph.add("Sub", near, graph.constant(0.05))
    for name, axis, side in (("simcc_x", 2, size[0]), ("simcc_y", 3, size[1])):
        profile = graph.add("ReduceMax", near, axes=[axis], keepdims=0)
        # Every second bin is a place between two pixels, and lower than either.
        spread = np.zeros((side, 2 * side), np.float32)
        spread[np.arange(side), 2 * np.arange(side)] = 1
        spread[np.arange(side), 2 * np.arange(side) + 1] = 0.5
        graph.add("MatMul", profile, graph.constant(spread), out=name)
    return graph.write(path, {"input": [batch, 3, size[1], size[0]]}, _simcc_outputs(size, num, batch))


def standing_person():
    """Keypoints (133, 2) of a person standing upright, in shares of the crop (the box is its inner 80 %)."""
    points = np.zeros((NUM_KEYPOINTS, 2))
    points[:17] = [
        (0.50, 0.19), (0.515, 0.18), (0.485, 0.18), (0.54, 0.185), (0.46, 0.185), (0.61, 0.29), (0.39, 0.29),
        (0.66, 0.41), (0.34, 0.41), (0.68, 0.52), (0.32, 0.52), (0.56, 0.53), (0.44, 0.53), (0.57, 0.69), (0.43, 0.69),
        (0.57, 0.85), (0.43, 0.85),
    ]  # fmt: skip
    points[17:23] = [(0.59, 0.885), (0.61, 0.88), (0.565, 0.87), (0.41, 0.885), (0.39, 0.88), (0.435, 0.87)]
    turn = np.linspace(0, 1, 68, endpoint=False)
    points[23:91] = np.stack([0.5 + 0.04 * np.cos(2 * np.pi * turn), 0.19 + 0.035 * np.sin(2 * np.pi * turn)], 1)
    for start, (x, y) in ((91, points[9]), (112, points[10])):
        sign = 1 if start == 91 else -1
        points[start] = x, y
        for finger in range(5):
            for joint in range(4):
                reach = 0.015 + 0.01 * (joint + 1)
                points[start + 1 + 4 * finger + joint] = x + sign * 0.012 * (finger - 2), y + reach
    return points
