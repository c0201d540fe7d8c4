"""The network files that DWPose needs, and where upstream gives them out. Nothing is ever fetched by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LICENCE = "Apache-2.0"
"""Of the weights of DWPose, RTMPose and YOLOX, and of their code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamFile:
    """One file that a person has to fetch."""

    name: str
    """File name as upstream gives it out."""
    option: str
    """Option of the backend that takes its path."""
    holds: str
    """What is in it."""
    source: str
    """Where upstream gives it out."""


POSE_FILE = UpstreamFile(
    name="dw-ll_ucoco_384.onnx",
    option="pose_path",
    holds="DWPose-l, input (N, 3, 384, 288), outputs simcc_x (N, 133, 576) and simcc_y (N, 133, 768)",
    source="https://huggingface.co/yzd-v/DWPose (linked from https://github.com/IDEA-Research/DWPose)",
)
DETECTOR_FILE = UpstreamFile(
    name="yolox_l.onnx",
    option="detector_path",
    holds="YOLOX-l trained on COCO, input (1, 3, 640, 640), output (1, 8400, 85) without non-maximum suppression",
    source="https://huggingface.co/yzd-v/DWPose (linked from https://github.com/IDEA-Research/DWPose)",
)
MMPOSE_CONFIG_FILE = UpstreamFile(
    name="rtmpose-l_8xb32-270e_coco-ubody-wholebody-384x288.py",
    option="config_path",
    holds="mmpose's configuration of RTMPose-l whole-body at 384x288, not one of the dwpose/ training configurations",
    source="https://github.com/open-mmlab/mmpose under configs/wholebody_2d_keypoint/rtmpose/ubody",
)
MMPOSE_CHECKPOINT_FILE = UpstreamFile(
    name="rtmpose-l_simcc-ucoco_dw-ucoco_270e-384x288-2438fd99_20230728.pth",
    option="pose_path",
    holds="DWPose-l as an mmpose checkpoint",
    source="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/",
)


def found_file(path: str | Path | None, file: UpstreamFile) -> Path:
    """Returns the path of a file that is there.

    Raises:
        ValueError: No path was given, or it is no file.
    """
    advice = f"expected {file.name} ({file.holds}) from {file.source}"
    if path is None or str(path) == "":
        raise ValueError(f"the keypoint backend 'dwpose' needs the option {file.option}: {advice}")
    if not Path(path).is_file():
        raise ValueError(f"{file.option} {path} is not a file: {advice}")
    return Path(path)
