"""Calibrations of EasyMocap, ``intri.yml`` and ``extri.yml``, as entries of a camera file.

They are OpenCV's: world to camera, and pixels counted from the middle of the first. They state no unit, and photo sizes
only at times.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_OWN = {"unit", "synchronised", "easymocap", "size_px"}


def easymocap_cameras(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a camera file that names a folder of EasyMocap in place of cameras.

    Args:
        path: The camera file.
        values: Its content: ``easymocap``, ``unit``, ``synchronised``, and ``size_px`` where intri.yml states none.

    Raises:
        ValueError: Something is missing or wrong; the sentence names file and camera.
    """
    if foreign := sorted(set(values) - _OWN):
        raise ValueError(f"Camera file {path}: unknown setting {', '.join(foreign)} beside easymocap, which states it")
    intri, extri = (_opened(path.parent / str(values["easymocap"]) / name) for name in ("intri.yml", "extri.yml"))
    names = intri[1].getNode("names")
    cameras = {}
    for name in (names.at(i).string() for i in range(names.size())):
        matrix, distortion = _matrix(intri, f"K_{name}", 9), _matrix(intri, f"dist_{name}", 5)
        size = [int(intri[1].getNode(f"{side}_{name}").real()) for side in "WH"]
        cameras[name] = {
            "size_px": size if all(size) else values.get("size_px"),
            "focal_px": [matrix[0], matrix[4]],
            "principal_px": [matrix[2] + 0.5, matrix[5] + 0.5],
            "lens": "brown",
            "coefficients": distortion,
            "rotation_vector": _matrix(extri, f"R_{name}", 3),
            "translation": _matrix(extri, f"T_{name}", 3),
        }
    stated = {name: values[name] for name in ("unit", "synchronised") if name in values}
    return {**stated, "direction": "world_to_camera", "cameras": cameras}


def _opened(path: Path) -> tuple[Path, cv2.FileStorage]:
    try:
        return path, cv2.FileStorage(path.read_text(encoding="utf-8"), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    except (OSError, UnicodeDecodeError, cv2.error) as error:
        raise ValueError(f"The file {path} of EasyMocap cannot be read ({error})") from error


def _matrix(file: tuple[Path, cv2.FileStorage], name: str, count: int) -> list[float]:
    """Numbers of a matrix, row by row."""
    node = file[1].getNode(name)
    found = None if node.empty() else node.mat()
    if found is None or found.size != count:
        raise ValueError(f"The file {file[0]} of EasyMocap needs {name} with {count} numbers")
    return np.asarray(found, np.float64).ravel().tolist()
