"""Photos that a keypoint backend knows by their width, a tiny regressor of random weights, and settings for both."""

from typing import Any

import cv2
import numpy as np
import torch

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.body.assets import load_open_body
from model.estimators.base import EstimatorInfo, KeypointsOutput
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor
from tasks.predict.settings import PredictConfig
from tasks.settings import EstimatorConfig

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
BY_WIDTH = {
    96: [([20, 4, 60, 60], None), ([50, 8, 90, 58], "person_overlapped"), ([500, 4, 560, 60], "box_invalid")],
    64: [],
    80: [([10, 5, 70, 60], None)],
}
"""Width of a photo -> boxes of its people and what the backend has against them."""


class BoxesByWidth:
    """A keypoint backend that knows the photos of these tests."""

    info = EstimatorInfo(name="by_width", version="1")

    def estimate(self, image, boxes, annotated):
        if image.rgb.shape[1] == 70:
            raise RuntimeError(f"{image.image_id} is too much for it")
        people = BY_WIDTH[image.rgb.shape[1]]
        num = len(people)
        return KeypointsOutput(
            boxes_xyxy=np.array([box for box, _ in people], np.float32).reshape(num, 4),
            box_source=["detector"] * num,
            scores=np.full(num, 0.5),
            keypoints=np.zeros((num, 133, 3), np.float32),
            sigma_px=np.full((num, 133), np.inf, np.float32),
            part_valid=np.ones((num, 4), bool),
            valid=np.array([reason != "box_invalid" for _, reason in people], bool),
            part_details=[(None,) * 4] * num,
            limb_details=[(None,) * 6] * num,
            reasons=[code and Refusal(ErrorCode(code), f"{code}: 2 found, 3 needed") for _, code in people],
            evidence={},
        )


def photo(path, width, height=64):
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))


def checkpoint(sha256=None, config=TINY):
    assets = load_open_body()
    torch.manual_seed(1)
    body = {"name": assets.smplx.name, "sha256": sha256 or assets.sha256}
    network = EhmRegressor(config)
    with torch.no_grad():
        for readout in [*network.smplx_head.children(), *network.flame_head.children()]:
            readout.get_parameter("linear.weight").mul_(30)
    return save_regressor(network, CheckpointMeta(config=config, step=7, body_model=body))


def settings(folder, out, **changes):
    values: dict[str, Any] = {"checkpoint": str(folder / "net.safetensors"), "out": str(out)}
    values |= {"keypoints": EstimatorConfig(backend="by_width")}
    return PredictConfig(**values | changes)


def array(rows, name, *shape):
    return np.stack(list(rows[name])).reshape(len(rows), *shape)
