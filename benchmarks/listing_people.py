"""Made-up people as data sets of any size have them: figures in photos, in 2D and 3D, seeded, some thousand at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets_manifest.schema.keypoint_sets import KeypointSet

PEOPLE_A_PHOTO = 4
WIDTH, HEIGHT = 640, 480
_PHOTOS_A_FOLDER = 10_000
AT_ONCE = 10_000
_PX_A_METRE = 150
_FIGURE = np.array(
    [
        *((50, 10), (53, 7), (47, 7), (57, 9), (43, 9)),
        *((62, 25), (38, 25), (68, 42), (32, 42), (72, 58), (28, 58)),
        *((57, 60), (43, 60), (58, 80), (42, 80), (59, 99), (41, 99)),
    ],
    np.float32,
)
"""(17, 2) COCO's points of a standing person who faces the camera, in a box of 100."""


def figures(own: KeypointSet, first: int, count: int) -> np.ndarray:
    """(count, K, 3) float32 px and confidence of people ``first`` and on, in a set's order; its other points are 0."""
    rng = np.random.default_rng([first, count])
    places = np.array([-1 if place is None or place >= len(_FIGURE) else place for place in own.wholebody])
    points = np.zeros((count, len(places), 3), np.float32)
    size = rng.uniform(1.0, 3.0, (count, 1, 1))
    corner = rng.uniform(0, 150, (count, 1, 2))
    points[:, places >= 0, :2] = _FIGURE[places[places >= 0]] * size + corner
    points[:, places >= 0, :2] += rng.normal(0, 0.5, (count, int((places >= 0).sum()), 2))
    points[:, places >= 0, 2] = 1
    return points


def boxes(points: np.ndarray) -> np.ndarray:
    """(N, 4) float32 xyxy around points (N, K, 3)."""
    known = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    return np.concatenate([np.nanmin(known, 1), np.nanmax(known, 1)], axis=1).astype(np.float32)


def photo_name(photo: int) -> str:
    """Name below the folder of photos."""
    return f"{photo // _PHOTOS_A_FOLDER:04d}/{photo:08d}.jpg"


def write_photos(root: Path, people: int) -> int:
    """Writes empty photos of so many people; their number."""
    count = -(-people // PEOPLE_A_PHOTO)
    for photo in range(count):
        path = root / photo_name(photo)
        if photo % _PHOTOS_A_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return count


def pieces(people: int) -> Iterator[tuple[int, int]]:
    """First and number of the people that are made at once."""
    for first in range(0, people, AT_ONCE):
        yield first, min(AT_ONCE, people - first)


def points_3d(own: KeypointSet, first: int, count: int) -> np.ndarray:
    """(count, K, 4) float32 m and confidence of the same people, all points in one plane, 5 m away."""
    points = figures(own, first, count)
    depth = np.full((count, len(own.points), 1), 5, np.float32)
    return np.concatenate([points[..., :2] / _PX_A_METRE, depth, points[..., 2:]], axis=2)
