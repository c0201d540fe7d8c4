"""A scene of cameras on a ring that look at its middle: camera files, photos and videos."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from video_files import SIZE

from datasets_manifest.adapters.base import Adapter
from datasets_manifest.manifest import load_manifest, open_adapter

_MANIFEST = """
id: rig
version: "1"
licence: CC0
access: made up
adapter: scene
root: {root}
split: all
layout: {layout}
boxes: detector
keypoints: none
purpose: test
"""

GLASSES = [
    *(610.0, 702.5, 709.25),
    *(0.4037, -0.4848, 0.1309, 1.1937, -1.4109, 0.4817, 5e-4, -3e-4, -9e-4, 2e-4, 7e-4, -1e-4),
]
"""f, cx, cy, k1..k6, p1, p2, s1..s4 of the sensor of Aria glasses, of 1408 px."""


def look_at_middle(degrees: float, distance_m: float = 4.0) -> np.ndarray:
    """(3, 4) rotation and translation from the world, y down, to a camera of the ring."""
    angle = np.radians(degrees)
    away = np.array([np.sin(angle), 0.0, np.cos(angle)])
    down = np.array([0.0, 1.0, 0.0])
    rotation = np.stack([np.cross(down, away), down, away])
    return np.concatenate([rotation, [[0.0], [0.0], [distance_m]]], 1)


def camera_entry(degrees: float = 0.0, **changed: Any) -> dict[str, Any]:
    """A camera as a camera file states it."""
    pose = look_at_middle(degrees)
    entry = {
        "size_px": list(SIZE),
        "focal_px": [100.0, 100.0],
        "principal_px": [SIZE[0] / 2, SIZE[1] / 2],
        "lens": "none",
        "rotation": pose[:, :3].tolist(),
        "translation": pose[:, 3].tolist(),
    }
    return {name: value for name, value in (entry | changed).items() if value is not None}


def camera_file(**changed: Any) -> dict[str, Any]:
    """The content of a camera file of two cameras, left and right."""
    cameras = {"left": camera_entry(-45.0), "right": camera_entry(45.0)}
    content = {"unit": "m", "direction": "world_to_camera", "synchronised": True, "cameras": cameras} | changed
    return {name: value for name, value in content.items() if value is not None}


def write_scene_manifest(root: Path, **layout: Any) -> Path:
    """Writes the manifest of scenes beside their folder; returns its file."""
    path = root.parent / "rig.yaml"
    path.write_text(_MANIFEST.format(root=root, layout=yaml.safe_dump(layout, default_flow_style=True)))
    return path


def write_cameras(path: Path, content: dict[str, Any]) -> Path:
    """Writes a camera file, and its folder; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def write_photo(path: Path, size_px: tuple[int, int] = SIZE) -> Path:
    """Writes a grey photo, and its folder; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((size_px[1], size_px[0], 3), 128, np.uint8))[1].tobytes())
    return path


def open_scenes(root: Path, *, boxes: str = "manifest", **layout: Any) -> Adapter:
    """Their adapter, with known people or those that a detector is to find."""
    path = write_scene_manifest(root, **layout)
    path.write_text(path.read_text().replace("boxes: detector", f"boxes: {boxes}"))
    return open_adapter(load_manifest(path))


def glasses_calibration(**changed: Any) -> dict[str, Any]:
    """A calibration of glasses as Project Aria writes it."""
    projection = {"Name": "FisheyeRadTanThinPrism", "Params": GLASSES} | changed
    cameras = [{"Label": "camera-slam-left"}, {"Label": "camera-rgb", "Projection": projection}]
    return {"tracking_timestamp_us": 1, "CameraCalibrations": cameras}
