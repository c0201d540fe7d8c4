"""Where points of the world are in a photo."""

from __future__ import annotations

import cv2
import numpy as np

from datasets_manifest.adapters.camera_files import CameraEntry

_LEAST_POINTS = 4
"""Fewer in the photo show nobody."""
_MARGIN = 1.2
"""A box is so much longer than what joints span, which lie inside the body."""


def box_of(points_m: np.ndarray, camera: CameraEntry, world_to_camera: np.ndarray) -> np.ndarray | None:
    """The box of a person, within the photo.

    Args:
        points_m: (N, 4) x, y, z in the world, score; of score 0 not known.
        camera: As it is calibrated.
        world_to_camera: (3, 4) metres.

    Returns:
        (4,) float32, px; None where fewer than four points are in the photo.
    """
    known = points_m[points_m[:, 3] > 0, :3]
    seen = project(known, camera, world_to_camera)
    width, height = camera.size_px
    seen = seen[((seen >= 0) & (seen <= (width, height))).all(1)]  # NaN is behind the camera.
    if len(seen) < _LEAST_POINTS:
        return None
    low, high = seen.min(0), seen.max(0)
    middle, half = (low + high) / 2, _MARGIN * (high - low) / 2
    corners = np.clip([middle - half, middle + half], 0, [width, height])
    return corners.ravel().astype(np.float32)


def project(points_m: np.ndarray, camera: CameraEntry, world_to_camera: np.ndarray) -> np.ndarray:
    """Points (N, 3) of the world -> (N, 2) px from the corner of the photo; NaN behind the camera."""
    places = points_m.astype(np.float64) @ world_to_camera[:, :3].T + world_to_camera[:, 3]
    found = np.full((len(places), 2), np.nan)
    front = places[:, 2] > 0
    if not front.any():
        return found
    (fx, fy), (cx, cy) = camera.focal_px, camera.principal_px
    matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    lens = np.array(camera.coefficients or (0.0,) * 4)
    still = np.zeros(3)
    project_points = cv2.fisheye.projectPoints if camera.lens == "fisheye" else cv2.projectPoints
    seen, _ = project_points(places[front].reshape(-1, 1, 3), still, still, matrix, lens)
    found[front] = seen.reshape(-1, 2)
    return found
