"""Where points of the world are in a photo."""

from __future__ import annotations

import cv2
import numpy as np

from datasets_manifest.adapters.camera_files import CameraEntry
from datasets_manifest.schema.lens_models import edge_of

_LEAST_POINTS = 4
"""Fewer in the photo show nobody."""
_NEAR_M = 0.1
"""What is closer to a camera is beside it, or of the head that wears it."""
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
    """Points (N, 3) of the world -> (N, 2) px from the corner of the photo; NaN behind the camera, next to it, or
    beyond the edge of its lens."""
    places = points_m.astype(np.float64) @ world_to_camera[:, :3].T + world_to_camera[:, 3]
    found = np.full((len(places), 2), np.nan)
    is_shown = places[:, 2] > _NEAR_M
    rays = places[is_shown, :2] / places[is_shown, 2:]
    lengths = np.linalg.norm(rays, axis=1)
    if camera.lens != "none":
        edge = edge_of(camera.lens, camera.coefficients)
        is_shown[is_shown] = is_within = (lengths if camera.lens == "brown" else np.arctan(lengths)) < edge
        rays = rays[is_within]
    if not len(rays):
        return found
    (fx, fy), (cx, cy) = camera.focal_px, camera.principal_px
    matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    lens = np.array(camera.coefficients or (0.0,) * 4)
    still, flat = np.zeros(3), cv2.convertPointsToHomogeneous(rays).reshape(-1, 1, 3)
    if camera.lens == "fisheye":
        seen, _ = cv2.fisheye.projectPoints(flat, still, still, matrix, lens)
    elif camera.lens == "fisheye624":
        # OpenCV's prism and tangential shift are Aria's, of the rays that the polynomial has bent.
        bent = cv2.convertPointsToHomogeneous(_by_angle(rays, lens[:6])).reshape(-1, 1, 3)
        p1, p2, *prism = lens[6:]
        seen, _ = cv2.projectPoints(bent, still, still, matrix, np.array([0, 0, p2, p1, 0, 0, 0, 0, *prism]))
    else:
        seen, _ = cv2.projectPoints(flat, still, still, matrix, lens)
    seen = seen.reshape(-1, 2)
    if camera.lens == "fisheye624":  # The lens of glasses shows a circle; the corners of its photos are black.
        middle = np.array(camera.size_px) / 2
        seen[np.linalg.norm(seen - middle, axis=1) > middle.min()] = np.nan
    found[is_shown] = seen
    return found


def _by_angle(rays: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Rays (N, 2) of a fisheye with any number of coefficients."""
    angle = np.arctan(np.linalg.norm(rays, axis=1, keepdims=True))
    length = np.where(angle > 0, np.tan(angle), 1.0)
    bent = np.polynomial.polynomial.polyval(angle**2, [1.0, *coefficients])
    return rays * np.where(angle > 0, angle / length, 1.0) * bent
