"""Our steps around the networks against those of the package rtmlib and mmpose (`make upstream`, `make mmpose`)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import write_detector, write_dot_pose
from upstream_packages import upstream

from model.estimators.dwpose.files import DETECTOR_FILE, MMPOSE_CONFIG_FILE, POSE_FILE
from model.estimators.dwpose.mmpose_route import MmposePose, import_mmpose
from model.estimators.dwpose.poses import OnnxPose
from model.estimators.dwpose.sessions import OnnxNetwork
from model.estimators.dwpose.yolox import PersonDetector, YoloxConfig

pytestmark = pytest.mark.upstream
CROP = (144, 192)


@pytest.fixture(scope="module")
def rtmlib():
    return upstream("rtmlib")


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


def test_the_mmpose_route_reads_people_as_mmpose_does(tmp_path):
    """The published network, which mmpose carries the configuration of, with random weights in a checkpoint."""
    package = Path(upstream("mmpose").__file__).parent
    upstream("torchvision")
    config = next(package.glob(f".mim/configs/wholebody_2d_keypoint/rtmpose/ubody/{MMPOSE_CONFIG_FILE.name}"))
    apis, configs = import_mmpose()
    settings = configs.Config.fromfile(str(config))
    settings.model.backbone.pop("_scope_"), settings.model.backbone.pop("init_cfg")
    torch.manual_seed(0)
    theirs = apis.init_model(settings, None, device="cpu")
    torch.save({"state_dict": theirs.state_dict(), "meta": {}}, tmp_path / "weights.pth")
    photo = noise_photo(np.random.default_rng(0))
    boxes = np.array([[20.0, 10, 180, 230], [150, 40, 300, 200]])
    wanted = apis.inference_topdown(theirs, photo[..., ::-1].copy(), boxes, bbox_format="xyxy")
    found = MmposePose(config, tmp_path / "weights.pth", device="cpu").read([photo], boxes, np.zeros(2, int))
    assert found.points_px.shape == (2, 133, 2)
    for row, person in enumerate(wanted):
        is_seen = found.raw_score[row] > 0
        assert np.allclose(found.raw_score[row], person.pred_instances.keypoint_scores[0], atol=1e-6)
        assert np.allclose(found.points_px[row][is_seen], person.pred_instances.keypoints[0][is_seen], atol=1e-3)
        assert np.isnan(found.points_px[row][~is_seen]).all()
