"""The pose network from its PyTorch checkpoint, run by the package mmpose in place of onnxruntime.

mmpose takes BGR photos and turns them to RGB itself. Its configuration averages with the mirrored photo: twice the
time, and scores a little off those of the ONNX file. `make mmpose` installs it, into an environment of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.body.skeleton import NUM_KEYPOINTS
from model.estimators.base import Array
from model.estimators.dwpose.files import MMPOSE_CHECKPOINT_FILE, MMPOSE_CONFIG_FILE, found_file
from model.estimators.dwpose.poses import RawPoses, geometry
from model.weights import load_into, read_checkpoint


def import_mmpose() -> tuple[Any, Any]:
    """Returns the modules mmpose.apis and mmengine.config.

    Raises:
        ImportError: They are not installed; the message names the way.
    """
    try:
        _pass_over_compiled_operators()
        return importlib.import_module("mmpose.apis"), importlib.import_module("mmengine.config")
    except ImportError as error:
        raise ImportError(
            f"route 'mmpose' of the keypoint backend 'dwpose' needs mmpose ({error}): `make mmpose` installs it "
            "into an environment of its own; or use the route 'onnx'"
        ) from error


def _pass_over_compiled_operators() -> None:
    """Lets mmpose import with mmcv-lite, which has no compiled operators: other networks ask for some by name."""
    if "mmcv.ops" in sys.modules or importlib.util.find_spec("mmcv._ext") is not None:
        return
    operators = types.ModuleType("mmcv.ops")
    operators.DeformConv2d = operators.MultiScaleDeformableAttention = object  # type: ignore[attr-defined]
    sys.modules[operators.__name__] = operators


class MmposePose:
    """The pose network as an mmpose model."""

    def __init__(self, config_path: str | Path | None, checkpoint_path: str | Path | None, *, device: str) -> None:
        """Builds the network and gives it the checkpoint's weights.

        Args:
            config_path: mmpose configuration of the network.
            checkpoint_path: Its weights.
            device: ``cpu``, ``cuda`` or ``cuda:N``.

        Raises:
            ValueError: A file is missing, or the checkpoint is not of this configuration, or has no 133 keypoints.
            ImportError: mmpose is not installed.
        """
        config_path = found_file(config_path, MMPOSE_CONFIG_FILE)
        checkpoint_path = found_file(checkpoint_path, MMPOSE_CHECKPOINT_FILE)
        self._apis, configs = import_mmpose()
        config = configs.Config.fromfile(str(config_path))
        # Test settings decide scores as weights do; what the file inherits is in the loaded one.
        stated = json.dumps(config.to_dict(), sort_keys=True, default=str)
        # The backbone is asked of mmdet, though mmpose has the same one; and its start weights would be downloaded.
        config.model.backbone.pop("_scope_", None)
        config.model.backbone.pop("init_cfg", None)
        num_keypoints = config.model.head.get("out_channels")
        if "codec" not in config or "input_size" not in config.codec or num_keypoints != NUM_KEYPOINTS:
            file = MMPOSE_CONFIG_FILE
            raise ValueError(
                f"{file.option} {config_path}: expected a SimCC network of {NUM_KEYPOINTS} keypoints, got one of "
                f"{num_keypoints}; expected {file.name} ({file.holds}) from {file.source}"
            )
        width, height = config.codec.input_size
        self._size = (int(width), int(height))
        self._model = self._apis.init_model(config, None, device=device)
        checkpoint = read_checkpoint(checkpoint_path)  # mmengine's own reader would run what the file asks for
        load_into(self._model, checkpoint.tensors, path=checkpoint_path, ignore=("data_preprocessor.*",))
        self._model.eval()
        self.sha256 = f"{checkpoint.sha256}+{hashlib.sha256(stated.encode()).hexdigest()}"

    def read(self, images: Sequence[Array], boxes_xyxy: Array, image_of: Array) -> RawPoses:
        """Reads people, photo by photo; see ``PoseReader``."""
        boxes_xyxy, image_of = np.asarray(boxes_xyxy, dtype=float), np.asarray(image_of)
        _, _, height, step = geometry(boxes_xyxy, self._size)
        points, raw = np.full((len(height), NUM_KEYPOINTS, 2), np.nan), np.zeros((len(height), NUM_KEYPOINTS))
        for index in np.unique(image_of):
            rows = np.flatnonzero(image_of == index)
            bgr = np.ascontiguousarray(images[index][..., ::-1])
            people = self._apis.inference_topdown(self._model, bgr, boxes_xyxy[rows], bbox_format="xyxy")
            for row, person in zip(rows, people, strict=True):
                found = person.pred_instances
                points[row], raw[row] = found.keypoints[0], found.keypoint_scores[0]
        points[raw <= 0] = np.nan
        return RawPoses(points_px=points, raw_score=raw, crop_px=height, step_px=step)
