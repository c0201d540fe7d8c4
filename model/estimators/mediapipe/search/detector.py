"""Finds people: the detector on overlapping tiles, a second look at each candidate, duplicates dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import Detection, Networks


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorConfig:
    """Settings of the person finder."""

    min_score: float = 0.5
    """Score that a detection needs, on the tiles and again on a crop centred on it."""
    min_again_score: float = 0.4
    """Score that a second crop must reach besides."""
    tile_levels: tuple[int, ...] = (1, 2, 3)
    """Tiles along the longer side; neighbours overlap by half."""
    large_tile_levels: tuple[int, ...] = (1, 2, 4)
    """The same for large photos, in which small people have enough pixels."""
    large_photo_px: int = 800
    """Longer side from which a photo is large."""
    min_tile_px: int = 100
    """Smaller tiles are not looked at: nothing in them is large enough for a pose."""
    second_look: tuple[float, ...] = (2.2, 2.8, 3.6)
    """Sides of the crops of the second look, in radii of the person's circle."""
    max_candidates: int = 40
    """Candidates that get a second look, best first."""

    def __post_init__(self) -> None:
        if not 0.3 <= self.min_score <= 1:
            raise ValueError(f"detector min_score must lie in 0.3..1, got {self.min_score}")


def tiles(width: int, height: int, level: int) -> list[Region]:
    """Returns square tiles of side max(W, H) / level that cover the photo and overlap by half."""
    side = max(width, height) / level

    def centres(length: int) -> Array:
        if length <= side:
            return np.array([length / 2])
        count = int(np.ceil(2 * (length - side) / side - 1e-9)) + 1
        return np.linspace(side / 2, length - side / 2, count)

    return [Region(float(x), float(y), side) for y in centres(height) for x in centres(width)]


def head_centre(detection: Detection) -> Array:
    """Centre (2,) of a detection's head box, px."""
    return (detection.head_xyxy[:2] + detection.head_xyxy[2:]) / 2


def head_side(detection: Detection) -> float:
    """Side of a detection's head box, px."""
    return float(np.mean(detection.head_xyxy[2:] - detection.head_xyxy[:2]))


def is_same_head(a: Detection, b: Detection) -> bool:
    """Whether two detections mean one head."""
    large, small = max(head_side(a), head_side(b)), max(min(head_side(a), head_side(b)), 1e-6)
    return float(np.hypot(*(head_centre(a) - head_centre(b)))) < 0.5 * small and large < 2.5 * small


def is_same_person(a: Detection, b: Detection) -> bool:
    """Whether two detections mean one person, by the circle about the hips."""
    large, small = max(a.radius_px, b.radius_px), max(min(a.radius_px, b.radius_px), 1e-6)
    return float(np.hypot(*(a.hip_px - b.hip_px))) < 0.4 * large and large < 1.6 * small


def keep_best(detections: list[Detection]) -> list[Detection]:
    """Drops every detection that means the same person or head as a better one."""
    kept: list[Detection] = []
    for candidate in sorted(detections, key=lambda d: -d.score):
        if not any(is_same_person(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def look_again(networks: Networks, rgb: Array, candidate: Detection, config: DetectorConfig) -> Detection | None:
    """Scores a candidate on crops centred on it, upright and along its lean.

    A person is seen well at least once and again in a second crop; the pose detector's ghosts rarely are.

    Returns:
        The best matching detection, None for a ghost.
    """
    best, times_seen = None, 0

    def worth(found: Detection) -> float:
        return found.score - float(np.hypot(*(found.hip_px - candidate.hip_px))) / candidate.radius_px

    looks = [(factor, rotation) for rotation in (0.0, candidate.rotation_rad) for factor in config.second_look]
    for number, (factor, rotation) in enumerate(looks):
        region = Region(float(candidate.hip_px[0]), float(candidate.hip_px[1]), factor * candidate.radius_px, rotation)
        found = [
            d
            for d in networks.detect(rgb, region)
            if d.score >= config.min_again_score and (is_same_person(d, candidate) or is_same_head(d, candidate))
        ]
        if found:
            times_seen += 1
            best = max(found if best is None else [best, *found], key=worth)
        if best is not None and best.score >= config.min_score and times_seen >= 2:
            return best
        if best is None and number + 1 == len(config.second_look):
            return None  # nobody upright: along the lean there is nobody either
    return None


def levels_of(width: int, height: int, config: DetectorConfig) -> tuple[int, ...]:
    """Levels of tiles that are looked at in a photo."""
    longer = max(width, height)
    levels = config.large_tile_levels if longer >= config.large_photo_px else config.tile_levels
    return tuple(level for level in levels if level == 1 or longer / level >= config.min_tile_px)


def find_candidates(
    networks: Networks, rgb: Array, levels: Sequence[int], config: DetectorConfig, known_boxes: Sequence[Array] = ()
) -> list[Detection]:
    """Returns what looks like a person in an (H, W, 3) photo and needs a second look, best first.

    Args:
        networks: The networks of this process.
        rgb: (H, W, 3) photo.
        levels: Of the tiles.
        config: Settings of the finder.
        known_boxes: xyxy boxes of people who are known: tiles whose middle is one of them are not looked at.
    """
    height, width = rgb.shape[:2]
    candidates = []
    for tile in (tile for level in levels for tile in tiles(width, height, level)):
        if any(box[0] < tile.x_px < box[2] and box[1] < tile.y_px < box[3] for box in known_boxes):
            continue
        candidates += [d for d in networks.detect(rgb, tile) if d.score >= config.min_score]
    candidates = [d for d in candidates if 0 <= head_centre(d)[0] <= width and 0 <= head_centre(d)[1] <= height]
    return keep_best(candidates)[: config.max_candidates]
