"""Everything of a synthetic photo but the person: framing, background, things in front, the camera's faults.

Images are (H, W, 3) float RGB 0..255; pixel (column i, row j) has its centre at (i + 0.5, j + 0.5).
"""

from dataclasses import dataclass

import cv2
import numpy as np

NEAREST_M = 0.25
"""No part of a person comes closer to the camera."""


def place_person(
    points_m: np.ndarray,
    focal_px: float,
    principal_px: np.ndarray,
    size_hw: tuple[int, int],
    height_share: float,
    shift_share: np.ndarray,
) -> np.ndarray:
    """Translation (3,), metres, that makes points fill a share of the image.

    Args:
        points_m: (N, 3) points that are to be framed, camera axes, any origin.
        focal_px: focal length.
        principal_px: (2,) principal point.
        size_hw: image size (H, W).
        height_share: height of the points' box over the image's height; their width never exceeds 0.96 of the image's.
        shift_share: (2,) offset of the box's centre from the image's, as a share of the free room, -1..1.
    """
    middle = 0.5 * (points_m.max(0) + points_m.min(0))
    centred = np.ascontiguousarray((points_m - middle).T)  # (3, N): extremes of a row are much faster than of a column
    offset = np.zeros(3)
    # The step that goes straight to its goal at a distance overshoots, ever further, where a hand is close to the
    # camera and the rest far from it; there it is measured at the nearest point.
    for is_close in (False, True):
        offset, has_some = _framed(centred, focal_px, principal_px, size_hw, height_share, shift_share, is_close)
        if has_some:
            break
    return offset - middle


def _framed(
    centred: np.ndarray,
    focal_px: float,
    principal_px: np.ndarray,
    size_hw: tuple[int, int],
    height_share: float,
    shift_share: np.ndarray,
    is_close: bool,
) -> tuple[np.ndarray, bool]:
    """Offset (3,) of points (3, N) around the origin, and whether any of them comes to lie inside the image."""
    height, width = size_hw
    distance = focal_px * np.ptp(centred[1]) / (height_share * height) + np.ptp(centred[2]) / 2
    offset = np.zeros(3)
    for _ in range(48 if is_close else 12):
        offset[2] = max(distance, NEAREST_M - centred[2].min())
        depth = centred[2] + offset[2]
        pixels = [focal_px * (centred[k] + offset[k]) / depth + principal_px[k] for k in range(2)]
        low, high = np.array([[axis.min(), axis.max()] for axis in pixels]).T
        extent = high - low
        ratio = max(extent[1] / (height_share * height), extent[0] / (0.96 * width))
        room = np.maximum(np.array([width, height]) - extent, 0.0) / 2
        target = np.array([width, height]) / 2 + np.asarray(shift_share) * room
        offset[:2] += (target - 0.5 * (low + high)) * (depth.min() if is_close else offset[2]) / focal_px
        distance = offset[2] * ratio
    depth = centred[2] + offset[2]
    x, y = (focal_px * (centred[k] + offset[k]) / depth + principal_px[k] for k in range(2))
    return offset, bool(((x > 0) & (x < width) & (y > 0) & (y < height)).any())


def _noise(rng: np.random.Generator, size_hw: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth noise (H, W, 3) within 0..1 with about ``cells`` blobs along the longer side."""
    height, width = size_hw
    scale = cells / max(height, width)
    small = rng.random((max(2, round(height * scale)), max(2, round(width * scale)), 3)).astype(np.float32)
    return np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,), rarely a loud one."""
    colour = rng.uniform(30.0, 225.0, 3)
    return colour.mean() + (colour - colour.mean()) * rng.uniform(0.1, 0.8)


def paint_background(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) a gradient, blobs of colour, tiles, stripes or a room."""
    height, width = size_hw
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    first, second, third = _colour(rng), _colour(rng), _colour(rng)
    kind = rng.choice(["gradient", "blobs", "tiles", "stripes", "room", "room"])
    if kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        along = (columns / width - 0.5) * np.cos(angle) + (rows / height - 0.5) * np.sin(angle) + 0.5
        image = first + (second - first) * np.clip(along, 0, 1)[..., None]
    elif kind == "blobs":
        blend = _noise(rng, size_hw, int(rng.integers(3, 9)))
        image = first * (1 - blend) + second * blend
        image = image + 40.0 * (_noise(rng, size_hw, int(rng.integers(20, 60))) - 0.5)
    elif kind == "tiles":
        side = rng.uniform(0.04, 0.15) * height
        odd = (np.floor(rows / side) + np.floor(columns / side)) % 2
        joints = ((rows % side) < 1.5) | ((columns % side) < 1.5)
        image = np.where(odd[..., None] > 0, first, 0.85 * first + 0.15 * second)
        image = np.where(joints[..., None], 0.8 * image, image)
    elif kind == "stripes":
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.2) * height
        wave = 0.5 + 0.5 * np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * 2 * np.pi / period)
        image = first + (0.5 * (second - first)) * wave[..., None]
    else:
        image = _paint_room(rng, size_hw, first, second, third)
    image = image + 22.0 * (_noise(rng, size_hw, int(rng.integers(60, 160))) - 0.5)
    shade = 1.0 + rng.uniform(-0.25, 0.25) * (columns / width - 0.5) + rng.uniform(-0.25, 0.25) * (rows / height - 0.5)
    image = cv2.GaussianBlur((image * shade[..., None]).astype(np.float32), (0, 0), rng.uniform(0.6, 3.0))
    return np.clip(image, 0.0, 255.0)


def _paint_room(rng, size_hw: tuple[int, int], wall: np.ndarray, floor: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A wall with pictures or windows above a floor."""
    height, width = size_hw
    image = np.empty((height, width, 3), np.float32)
    horizon = round(height * rng.uniform(0.5, 0.85))
    image[:horizon] = wall
    depth = np.linspace(0.6, 1.1, height - horizon)[:, None, None]
    image[horizon:] = floor * depth
    for _ in range(rng.integers(0, 5)):
        x0, y0 = rng.uniform(-0.1, 0.9) * width, rng.uniform(-0.1, 0.6) * height
        box = np.array([x0, y0, x0 + rng.uniform(0.1, 0.4) * width, y0 + rng.uniform(0.1, 0.5) * height]).astype(int)
        tone = other if rng.random() < 0.5 else _colour(rng)
        cv2.rectangle(image, box[:2].tolist(), box[2:].tolist(), tone.tolist(), -1)
        cv2.rectangle(image, box[:2].tolist(), box[2:].tolist(), (0.6 * tone).tolist(), 3)
    return image


def draw_occluder(rng: np.random.Generator, image: np.ndarray, bbox_xyxy: np.ndarray) -> np.ndarray:
    """Puts one box or disc in front of a person, in place; returns the mask (H, W) of what it covers."""
    low, high = np.asarray(bbox_xyxy[:2]), np.asarray(bbox_xyxy[2:])
    return draw_thing(rng, image, low + (high - low) * rng.uniform([0.1, 0.25], [0.9, 0.95]), float((high - low).max()))


def draw_thing(rng: np.random.Generator, image: np.ndarray, centre: np.ndarray, side_px: float) -> np.ndarray:
    """Puts one box or disc at a place (2,), in place; returns the mask (H, W) of what it covers.

    Its half width and height are a tenth, more or less, of ``side_px``; they, its kind and its colours are random.
    """
    half = side_px * rng.uniform(0.06, 0.16, 2)
    mask = np.zeros(image.shape[:2], np.uint8)
    angle = float(rng.uniform(0, 180))
    if rng.random() < 0.5:
        cv2.ellipse(mask, (centre.tolist(), (2 * half).tolist(), angle), 1, -1)
    else:
        corners = cv2.boxPoints((centre.tolist(), (2 * half).tolist(), angle))
        cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    covered = mask.astype(bool)
    texture = _colour(rng) * (0.75 + 0.5 * _noise(rng, image.shape[:2], int(rng.integers(8, 60))))
    image[covered] = np.clip(texture, 0, 255)[covered]
    return covered


@dataclass(frozen=True, kw_only=True, slots=True)
class Sensor:
    """What is wrong with the pictures of a camera."""

    blur_px: float
    """Standard deviation."""
    exposure: float
    """Factor."""
    white_balance: np.ndarray
    """(3,) factors."""
    noise: float
    """Standard deviation, of 255."""


def sample_sensor(rng: np.random.Generator) -> Sensor:
    """Slight blur, exposure, white balance and noise of a real camera."""
    return Sensor(
        blur_px=rng.uniform(0.3, 0.8),
        exposure=rng.uniform(0.85, 1.12),
        white_balance=rng.uniform(0.96, 1.04, 3).astype(np.float32),
        noise=rng.uniform(1.0, 5.0),
    )


def develop(rng: np.random.Generator, image: np.ndarray, sensor: Sensor) -> np.ndarray:
    """(H, W, 3) uint8: a picture as a sensor has it; only the noise is random."""
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sensor.blur_px)
    image = image * sensor.exposure * sensor.white_balance
    image = image + rng.normal(0.0, sensor.noise, (*image.shape[:2], 1)).astype(np.float32)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
