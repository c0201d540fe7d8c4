import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_files import write_detector, write_fixed_pose, yolox_output

from model.estimators.dwpose import yolox
from model.estimators.dwpose.files import DETECTOR_FILE
from model.estimators.dwpose.sessions import OnnxNetwork
from model.estimators.dwpose.yolox import PersonDetector, YoloxConfig

SIZE = (640, 640)


def random_boxes(rng, num, spread=400):
    low = rng.uniform(0, spread, (num, 2))
    return np.concatenate([low, low + rng.uniform(20, 200, (num, 2))], axis=1)


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(width, 0) * max(height, 0)
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def naive_suppression(boxes, scores, limit):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    return kept


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(0, 30), st.floats(0.1, 0.9))
def test_suppression_agrees_with_a_loop(seed, num, limit):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, num, 150), rng.uniform(0, 1, num).round(1)
    assert yolox.suppress(boxes, scores, limit).tolist() == naive_suppression(boxes, scores, limit)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 1500))
def test_letterbox_keeps_the_shape_at_the_top_left(width, height):
    canvas, factor = yolox.letterbox(np.full((height, width, 3), 7, np.uint8), SIZE)
    assert canvas.shape == (640, 640, 3)
    assert max(width, height) * factor == pytest.approx(640)
    inner_w, inner_h = max(int(width * factor), 1), max(int(height * factor), 1)
    assert (canvas[:inner_h, :inner_w] == 7).all()
    assert (canvas[inner_h:] == 114).all()
    assert (canvas[:, inner_w:] == 114).all()


def test_letterbox_gives_blue_first():
    rgb = np.zeros((50, 50, 3), np.uint8)
    rgb[...] = 10, 20, 30
    assert yolox.letterbox(rgb, (64, 64))[0][0, 0].tolist() == [30, 20, 10]


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_boxes_of_the_raw_output_come_back(seed, num):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, num), rng.uniform(0.35, 0.99, num)
    kept = naive_suppression(boxes, scores, 0.45)
    found, found_scores = yolox.people_of(yolox_output(boxes, scores, SIZE)[0], SIZE, YoloxConfig())
    # Two boxes with their centre in one cell overwrite each other in the raw output.
    cells = {tuple((boxes[k, :2] + boxes[k, 2:]) // 64) for k in range(num)}
    if len(cells) == num:
        assert found == pytest.approx(boxes[kept], abs=1e-3)
        assert found_scores == pytest.approx(scores[kept], abs=1e-5)


def test_low_scores_and_other_classes_are_dropped():
    boxes = np.array([[10, 10, 100, 200], [300, 10, 400, 200], [10, 300, 100, 600.0]])
    raw = yolox_output(boxes, [0.9, 0.29, 0.9], SIZE, classes=[0, 0, 1])[0]
    found, _ = yolox.people_of(raw, SIZE, YoloxConfig())
    assert found == pytest.approx(boxes[:1], abs=1e-3)
    assert len(yolox.people_of(raw, SIZE, YoloxConfig(min_score=0.2))[0]) == 2


def test_score_is_objectness_times_class():
    raw = np.zeros((8400, 85), np.float32)
    raw[5, 4:6] = 0.5, 0.8
    assert yolox.people_of(raw, SIZE, YoloxConfig())[1] == pytest.approx([0.4])


def test_no_people_is_no_box():
    found, scores = yolox.people_of(np.zeros((8400, 85), np.float32), SIZE, YoloxConfig())
    assert found.shape == (0, 4)
    assert scores.shape == (0,)


def test_boxes_that_overflow_are_dropped():
    raw = np.zeros((8400, 85), np.float32)
    raw[5] = 1
    raw[5, 2] = 1000
    assert len(yolox.people_of(raw, SIZE, YoloxConfig())[0]) == 0


def test_detector_scales_boxes_to_each_photo(tmp_path):
    path = write_detector(tmp_path / "d.onnx", [[32, 64, 96, 192]], [0.8], (256, 256))
    detector = PersonDetector(OnnxNetwork(path, DETECTOR_FILE), YoloxConfig())
    photos = [np.zeros((512, 256, 3), np.uint8), np.zeros((128, 128, 3), np.uint8)]
    (large, scores), (small, _) = detector.detect(photos, batch_size=8)
    assert large == pytest.approx(np.array([[64, 128, 192, 384]]), abs=1e-3)
    assert small == pytest.approx(np.array([[16, 32, 48, 96]]), abs=1e-3)
    assert scores == pytest.approx([0.8], abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2, "batch"])
def test_detector_is_shown_bgr(tmp_path, batch):
    path = write_detector(tmp_path / "d.onnx", [[8, 8, 60, 100]], [0.8], (128, 128), only_if_blue=True, batch=batch)
    detector = PersonDetector(OnnxNetwork(path, DETECTOR_FILE), YoloxConfig())
    photos = [np.zeros((128, 128, 3), np.uint8) for _ in range(3)]
    photos[1][..., 2] = 255  # blue in RGB
    photos[2][..., 0] = 255  # red
    assert [len(boxes) for boxes, _ in detector.detect(photos, batch_size=2)] == [0, 1, 0]


def test_another_network_is_refused(tmp_path):
    path = write_fixed_pose(tmp_path / "pose.onnx", np.full((133, 2), 0.5))
    with pytest.raises(ValueError, match=r"detector_path .*pose\.onnx: its outputs.*expected yolox_l\.onnx.*http"):
        PersonDetector(OnnxNetwork(path, DETECTOR_FILE), YoloxConfig())


def test_limits_are_checked():
    with pytest.raises(ValueError, match="max_overlap"):
        YoloxConfig(max_overlap=1.5)
