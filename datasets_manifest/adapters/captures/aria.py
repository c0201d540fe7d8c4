"""Aria glasses: their lens, and where they are, for photos that stand upright.

The sensor lies on its side. Its photos are turned clockwise by 90 degrees before they are stored, its calibration is
not: here the lens and the axes of the camera are turned with the photo, x' = -y, y' = x.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.adapters.camera_files import CameraEntry

_LENS = "FisheyeRadTanThinPrism"
_LABEL = "camera-rgb"
_NUM_NUMBERS = 15
"""f, cx, cy, k1..k6, p1, p2, s1..s4."""
_WHOLE_PX, _SIDES_PX = 2880, (2880, 1408, 704)
"""Side of the sensor, and of the photos that are taken by it."""
_CUT_PX = 32
"""On every side of the sensor, of smaller photos."""
_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_MAX_FIRST_LINE = 1 << 20


def upright_camera(numbers: Any, size_px: tuple[int, int]) -> CameraEntry:
    """The lens of glasses for photos of a size, from f, cx, cy, k1..k6, p1, p2, s1..s4 of the sensor, counted from the
    middle of its first pixel.

    Args:
        numbers: Of one of the sizes in which the sensor takes photos, which the principal point tells.
        size_px: Of the photos, which may be smaller.

    Raises:
        ValueError: These are not 15 finite numbers, or the photo is not square.
    """
    found = np.asarray(numbers, np.float64).ravel()
    if found.shape != (_NUM_NUMBERS,) or not np.isfinite(found).all():
        raise ValueError(f"expected {_NUM_NUMBERS} finite numbers of the lens of Aria glasses, got {found.size}")
    if size_px[0] != size_px[1]:
        raise ValueError(f"photos of Aria glasses are square, got {size_px[0]} x {size_px[1]} px")
    focal, cx, cy, *rest = found.tolist()
    side = min(_SIDES_PX, key=lambda own: abs(cx + cy - own))
    if side == _WHOLE_PX:
        cx, cy, side = cx - _CUT_PX, cy - _CUT_PX, side - 2 * _CUT_PX
    by = size_px[0] / side
    p1, p2, s1, s2, s3, s4 = rest[6:]
    return CameraEntry(
        size_px=size_px,
        focal_px=(focal * by, focal * by),
        principal_px=((side - cy - 0.5) * by, (cx + 0.5) * by),
        lens="fisheye624",
        coefficients=(*rest[:6], -p2, p1, -s3, -s4, s1, s2),
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )


def upright_place(world_to_sensor: np.ndarray) -> np.ndarray:
    """(3, 4) from the world to the sensor -> to the camera of upright photos."""
    return _TURN @ world_to_sensor


def calibrated_glasses(path: Path, size_px: tuple[int, int]) -> CameraEntry:
    """The lens of the colour camera for photos of a size, from a calibration of Project Aria: of a device (JSON), or
    the first of a recording (JSON lines, ``online_calibration.jsonl``), from which later ones differ by a pixel or two.

    Raises:
        ValueError: The file is not there or has no such camera.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            first = lines.readline(_MAX_FIRST_LINE)
            # A calibration of a device may stand in several lines.
            content = json.loads(first if first.rstrip().endswith("}") else first + lines.read(_MAX_FIRST_LINE))
        cameras = content["CameraCalibrations"]
        projection = next(own for own in cameras if own["Label"] == _LABEL)["Projection"]
        if projection["Name"] != _LENS:
            raise ValueError(f"expected the lens {_LENS}, got {projection['Name']}")
        return upright_camera(projection["Params"], size_px)
    except StopIteration:
        raise ValueError(f"{path}: it has no {_LABEL}") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The calibration of the glasses {path} cannot be read ({error!r:.200}); put it there"
        ) from error
