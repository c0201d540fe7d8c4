"""Finds hands that fill a photo in which nobody is seen: the hand network is run on regions without any hint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import HandReading, Networks
from model.estimators.mediapipe.search.detector import tiles
from model.estimators.mediapipe.search.hand_landmarks import (
    FoundHand,
    HandFigures,
    diagonal,
    hand_spread,
    is_same_hand,
    read_hand,
)
from model.estimators.mediapipe.search.person import PersonReading
from model.estimators.mediapipe.uncertainty import is_inside

TURNS_RAD = tuple(k * math.pi / 2 for k in range(4))
"""Rotations of the regions."""
BOX_MARGIN = 0.1
"""Room around the landmarks of a hand in its box, in sides of the box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseHandConfig:
    """Settings of the search for close-up hands, where no body and no face was found."""

    min_score: float = 0.9
    """Score of the hand network; 0 to 1. At 1 none is looked for."""
    max_spread: float = 0.035
    """Spread over other regions, in diagonals of the hand."""
    min_share: float = 0.2
    """Least diagonal of a hand, as a share of the photo's longer side."""
    min_inside: float = 0.8
    """Share of the points that must lie in the photo."""
    tile_levels: tuple[int, ...] = (1, 2)
    """Tiles along the longer side; neighbours overlap by half."""
    iterations: int = 3
    """Readings of a region, each moved to where the hand turned out to be."""
    max_hands: int = 2
    """Hands a photo, best first."""


def find_close_hands(networks: Networks, rgb: Array, config: CloseHandConfig) -> list[FoundHand]:
    """Returns the close-up hands of an (H, W, 3) photo, best first."""
    height, width = rgb.shape[:2]
    least_px = config.min_share * max(width, height)
    readings: list[HandReading] = []
    for level in config.tile_levels if config.min_score < 1 else ():
        for tile in tiles(width, height, level):
            regions = (Region(tile.x_px, tile.y_px, tile.side_px, turn) for turn in TURNS_RAD)
            found = (read_hand(networks, rgb, region, iterations=config.iterations) for region in regions)
            readings += [r for r in found if r.score >= config.min_score and diagonal(r.landmarks) >= least_px]
    hands: list[FoundHand] = []
    for reading in sorted(readings, key=lambda r: -r.score):
        if len(hands) == config.max_hands:
            break
        if any(is_same_hand(other.reading, reading) for other in hands):
            continue
        figures = figures_of(reading, hand_spread(networks, rgb, reading), width, height)
        if figures.spread < config.max_spread and figures.inside >= config.min_inside:
            hands.append(FoundHand(reading=reading, figures=figures))
    return hands


def hand_people(networks: Networks, rgb: Array, config: CloseHandConfig) -> tuple[list[PersonReading | None], Array]:
    """Returns a person for each close-up hand of a photo, and their xyxy boxes (P, 4)."""
    height, width = rgb.shape[:2]
    people: list[PersonReading | None] = []
    boxes: list[Array] = []
    for hand in find_close_hands(networks, rgb, config):
        is_right = hand.reading.right > 0.5
        hands = (None, hand) if is_right else (hand, None)
        people.append(PersonReading(pose=None, hands=hands, hand_ok=(not is_right, is_right)))
        boxes.append(hand_box(hand.reading.landmarks, width, height))
    return people, np.array(boxes).reshape(-1, 4)


def figures_of(reading: HandReading, spread: float, width: int, height: int) -> HandFigures:
    """Figures of a hand without an arm: nothing is known of the wrist of a body."""
    return HandFigures(
        score=reading.score,
        quality=reading.score,
        wrist_offset=0.0,
        spread=spread,
        size_px=diagonal(reading.landmarks),
        inside=float(is_inside(reading.landmarks, width, height, 0.0).mean()),
        wrist_visibility=1.0,
        wrist_spread=float("nan"),
    )


def hand_box(landmarks: Array, width: int, height: int) -> Array:
    """Returns the xyxy box (4,) of a hand's landmarks (21, 2+)."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    margin = BOX_MARGIN * float(max(high - low))
    return np.clip(np.concatenate([low - margin, high + margin]), 0, [width, height, width, height])
