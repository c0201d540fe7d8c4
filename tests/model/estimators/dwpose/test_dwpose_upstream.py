"""Our steps around the networks against those of the package rtmlib (pip install --no-deps rtmlib==0.0.16)."""

import numpy as np
import pytest
from onnx_files import write_detector, write_dot_pose

from model.estimators.dwpose.files import DETECTOR_FILE, POSE_FILE
from model.estimators.dwpose.poses import OnnxPose
from model.estimators.dwpose.sessions import OnnxNetwork
from model.estimators.dwpose.yolox import PersonDetector, YoloxConfig

pytestmark = pytest.mark.upstream
CROP = (144, 192)


@pytest.fixture(scope="module")
def rtmlib():
    return pytest.importorskip("rtmlib", reason="the oracle rtmlib is not installed")


def noise_photo(rng, width=320, height=240):
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_keypoints_are_those_of_rtmlib(rtmlib, tmp_path):
    rng = np.random.default_rng(0)
    path = write_dot_pose(tmp_path / "pose.onnx", CROP, window=1)  # with noise, something is always a little near
    rgb = noise_photo(rng)
    low = rng.uniform([-60, -60], [200, 150], (6, 2))
    boxes = np.concatenate([low, low + rng.uniform(30, 200, (6, 2))], axis=1)
    ours = OnnxPose(OnnxNetwork(path, POSE_FILE, num_threads=1), batch_size=4).read([rgb], boxes, np.zeros(6, int))
    theirs = rtmlib.RTMPose(onnx_model=str(path), model_input_size=CROP, backend="onnxruntime", device="cpu")
    points, scores = theirs(rgb, bboxes=boxes)
    clear = ours.raw_score > 0.1
    assert clear.sum() > 300
    # A last bit of the affine map may turn a value of a crop by one level, and with it the nearest of two places.
    error = np.abs(ours.points_px - points).max(-1)[clear]
    assert np.mean(error < 1e-3) > 0.97
    # Theirs is the mean of the two maxima, which here are nearly the same.
    assert np.median(np.abs(ours.raw_score - scores)[clear]) < 1e-3


def test_people_are_those_of_rtmlib(rtmlib, tmp_path):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 400, (30, 2))
    boxes = np.repeat(np.concatenate([low, low + rng.uniform(30, 200, (30, 2))], axis=1), 3, axis=0)
    boxes += rng.normal(0, 3, boxes.shape)
    path = write_detector(tmp_path / "yolox.onnx", boxes, rng.uniform(0.5, 0.95, len(boxes)))
    rgb = noise_photo(rng)
    detector = PersonDetector(OnnxNetwork(path, DETECTOR_FILE, num_threads=1), YoloxConfig())
    ((ours, _),) = detector.detect([rgb], batch_size=1)
    theirs = rtmlib.YOLOX(onnx_model=str(path), score_thr=0.3, nms_thr=0.45, backend="onnxruntime", device="cpu")
    found = theirs(np.ascontiguousarray(rgb[..., ::-1]))
    # Theirs counts a pixel more a side in the overlap, so a box at the limit may be kept by one of the two only.
    distance = np.abs(ours[:, None] - found[None]).max(-1)
    assert len(ours) > 20
    assert (distance.min(1) < 1e-2).mean() > 0.95
    assert (distance.min(0) < 1e-2).mean() > 0.95
