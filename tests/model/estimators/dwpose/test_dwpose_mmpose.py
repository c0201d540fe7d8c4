import hashlib
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from model.estimators.dwpose import mmpose_route
from model.estimators.dwpose.keypoints import DwposeKeypoints
from model.estimators.dwpose.mmpose_route import MmposePose


class Config(dict):
    """As much of mmengine's as the adapter touches."""

    __getattr__ = dict.__getitem__

    def to_dict(self):
        return dict(self)

    @classmethod
    def fromfile(cls, path):
        backbone = cls(type="CSPNeXt", _scope_="mmdet", init_cfg=cls(checkpoint="https://weights"))
        num = 17 if "body" in path else 133
        model = cls(backbone=backbone, head=cls(out_channels=num), test_cfg=cls(flip_test="flip" in path))
        return cls(codec=cls(input_size=(288, 384)), model=model)


class Apis:
    """Answers with the colour of the photo's middle as scores, and the box's centre as every point."""

    def __init__(self):
        self.configs, self.calls = [], []

    def init_model(self, config, checkpoint, device):
        assert checkpoint is None, "the file is read by our own reader"
        self.configs.append(config)
        return nn.Linear(2, 3).to(device)

    def inference_topdown(self, model, photo, boxes, bbox_format):
        assert bbox_format == "xyxy"
        self.calls.append((photo.shape, len(boxes)))
        people = []
        for box in boxes:
            points = np.tile((box[:2] + box[2:]) / 2, (1, 133, 1))
            colour = photo[photo.shape[0] // 2, photo.shape[1] // 2] / 255
            scores = np.tile(colour, 45)[None, :133]
            found = types.SimpleNamespace(keypoints=points, keypoint_scores=scores)
            people.append(types.SimpleNamespace(pred_instances=found))
        return people


@pytest.fixture
def apis(monkeypatch):
    apis = Apis()
    monkeypatch.setattr(mmpose_route, "import_mmpose", lambda: (apis, types.SimpleNamespace(Config=Config)))
    return apis


@pytest.fixture
def files(tmp_path):
    config, weights = tmp_path / "rtmpose.py", tmp_path / "weights.pth"
    config.write_text("")
    torch.save({"state_dict": nn.Linear(2, 3).state_dict(), "meta": {"epoch": 1}}, weights)
    return config, weights


def test_photos_are_handed_over_as_bgr_and_people_photo_by_photo(apis, files):
    pose = MmposePose(*files, device="cpu")
    photos = [np.full((40, 30, 3), (255, 0, 51), np.uint8), np.full((20, 60, 3), (0, 255, 0), np.uint8)]
    boxes = np.array([[0, 0, 10, 20], [5, 5, 25, 15], [2, 2, 12, 32.0]])
    found = pose.read(photos, boxes, np.array([1, 0, 1]))
    assert apis.calls == [((40, 30, 3), 1), ((20, 60, 3), 2)]
    assert found.raw_score[1, :3] == pytest.approx([0.2, 0, 1])
    assert found.points_px[0, 1] == pytest.approx([5, 10])
    assert found.points_px[2, 1] == pytest.approx([7, 17])
    assert np.isnan(found.points_px[1, 1]).all(), "no score, no place"
    assert found.crop_px == pytest.approx([25, 1.25 * 20 / 0.75, 37.5])
    assert found.step_px == pytest.approx(found.crop_px / 768)


def test_nothing_is_asked_of_mmdet_or_the_net(apis, files):
    MmposePose(*files, device="cpu")
    assert set(apis.configs[0].model.backbone) == {"type"}


def test_weights_of_another_network_are_refused(apis, files):
    torch.save({"state_dict": nn.Linear(4, 3).state_dict()}, files[1])
    with pytest.raises(ValueError, match=r"weights\.pth does not fit"):
        MmposePose(*files, device="cpu")


def test_configuration_of_another_network_is_refused(apis, files, tmp_path):
    (tmp_path / "body.py").write_text("")
    with pytest.raises(ValueError, match=r"body\.py: expected a SimCC network of 133 keypoints, got one of 17"):
        MmposePose(tmp_path / "body.py", files[1], device="cpu")


def test_route_is_an_option_of_the_backend(apis, files):
    estimator = DwposeKeypoints(route="mmpose", config_path=files[0], pose_path=files[1])
    assert estimator.info.version == "2-dwpose-mmpose"
    weights, config = estimator.info.weights_sha256.split("+")
    assert weights == hashlib.sha256(files[1].read_bytes()).hexdigest()
    assert len(config) == 64


def test_another_configuration_of_the_same_weights_is_another_estimator(apis, files, tmp_path):
    (tmp_path / "flip.py").write_text("")
    (tmp_path / "copy.py").write_text("")
    plain = MmposePose(*files, device="cpu").sha256
    assert MmposePose(tmp_path / "copy.py", files[1], device="cpu").sha256 == plain, "its place does not matter"
    assert MmposePose(tmp_path / "flip.py", files[1], device="cpu").sha256 != plain


def test_missing_package_names_the_way(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmpose", None)
    with pytest.raises(ImportError, match=r"route 'mmpose'.*`make mmpose`.*environment of its own"):
        MmposePose(*files, device="cpu")


def test_missing_files_are_named(apis, tmp_path):
    with pytest.raises(ValueError, match=r"needs the option config_path: expected rtmpose-l_8xb32"):
        MmposePose(None, None, device="cpu")
