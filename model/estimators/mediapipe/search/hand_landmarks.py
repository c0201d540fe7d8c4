"""Reads one hand of a person, starting at the wrist of the pose, with a bounded number of tries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from model.estimators.base import Array
from model.estimators.mediapipe.graphs.regions import Region, lean_rad
from model.estimators.mediapipe.graphs.runner import HandReading, Networks
from model.estimators.mediapipe.landmarks import LEFT_ARM, RIGHT_ARM
from model.estimators.mediapipe.search.pose import PersonPose
from model.estimators.mediapipe.uncertainty import is_inside

WRIST, INDEX, MIDDLE, RING = 0, 5, 9, 13
"""Hand landmarks: wrist and three knuckles."""
PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Hand landmarks that bound the region of the next reading."""
SPREAD_DISTURBANCES = ((0.88, 0.15, 0.02, 0.0), (1.15, -0.15, 0.0, 0.02), (1.0, 0.3, -0.03, 0.0))
"""Scale, turn (rad) and shifts of the regions that measure a hand's spread."""
UNMEASURED = 1.0
"""Spread of a hand that is refused without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandConfig:
    """Settings of the hand search and of the rule that accepts a hand."""

    max_tries: int = 5
    """Regions tried a hand, at most 15."""
    hopeless_score: float = 0.3
    """Score that one of the first three regions must reach for more to be tried."""
    good_quality: float = 0.93
    """Quality at which the search stops."""
    min_quality: float = 0.6
    """Score of an accepted hand with the right handedness."""
    max_wrist_offset: float = 0.2
    """Distance to the pose's wrist, in arm lengths."""
    max_spread: float = 0.035
    """Spread of an accepted hand, in its diagonals."""
    min_diagonal_px: float = 16.0
    """Size below which the fingers of a hand cannot be told apart."""
    min_inside: float = 0.5
    """Share of the points that must lie in the photo."""
    min_wrist_visibility: float = 0.3
    """Of the pose's wrist: a hand beside a wrist that is not seen is another's, or none."""
    max_wrist_spread: float = 0.3
    """Spread of the pose's wrist over other regions, in diagonals of the hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandFigures:
    """What a hand is accepted by, see ``hand_detail``."""

    score: float
    """Of the network."""
    quality: float
    """Score, 0 for the wrong hand or an impossible place or size."""
    wrist_offset: float
    """Distance to the pose's wrist, in arm lengths."""
    spread: float
    """Spread over other regions, in diagonals of the hand."""
    size_px: float
    """Diagonal of its landmarks."""
    inside: float
    """Share of its landmarks in the photo."""
    wrist_visibility: float
    """Of the pose's wrist."""
    wrist_spread: float
    """Spread of the pose's wrist over other regions, in diagonals of the hand; NaN where it was not measured."""
    rival_offset: float = float("nan")
    """Distance to the wrist of another person who owns this hand, in arm lengths of this one; NaN without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundHand:
    """The best reading of one hand."""

    reading: HandReading
    figures: HandFigures


def hand_detail(figures: HandFigures, config: HandConfig) -> str | None:
    """What is said against a hand, with the figure and its limit; None for one that is trusted."""
    if not figures.wrist_visibility >= config.min_wrist_visibility:
        return f"visibility {figures.wrist_visibility:.2f} of the body's wrist, needed {config.min_wrist_visibility}"
    if not figures.score > config.min_quality:
        return f"score {figures.score:.2f}, needed {config.min_quality}"
    if not figures.wrist_offset < config.max_wrist_offset:
        far, most = 100 * figures.wrist_offset, 100 * config.max_wrist_offset
        return f"wrist {far:.0f} % of an arm from the body's wrist, allowed {most:.0f} %"
    if not figures.quality > config.min_quality:
        return f"score {figures.score:.2f}, but as the other hand or of a size that no hand has beside the arm"
    if not figures.size_px >= config.min_diagonal_px:
        return f"{figures.size_px:.0f} px large, needed {config.min_diagonal_px:.0f}"
    if not figures.inside >= config.min_inside:
        return f"{100 * figures.inside:.0f} % of its points in the photo, needed {100 * config.min_inside:.0f} %"
    if figures.wrist_spread > config.max_wrist_spread:
        far, most = 100 * figures.wrist_spread, 100 * config.max_wrist_spread
        return f"spread of the body's wrist {far:.0f} % of the hand, allowed {most:.0f} %"
    if not figures.spread < config.max_spread:
        return f"spread {100 * figures.spread:.1f} % of the hand, allowed {100 * config.max_spread:.1f} %"
    if figures.rival_offset <= figures.wrist_offset:
        own, other = 100 * figures.wrist_offset, 100 * figures.rival_offset
        return f"another person's hand, whose wrist is {other:.0f} % of an arm from it, this one's {own:.0f} %"
    return None


def diagonal(points: Array) -> float:
    """Diagonal of the box of (N, 2+) points."""
    return float(np.hypot(*np.ptp(points[:, :2], axis=0)))


def next_region(reading: HandReading) -> Region:
    """Returns the region that MediaPipe's tracker would look at next."""
    points = reading.landmarks[:, :2]
    knuckles = ((points[INDEX] + points[RING]) / 2 + points[MIDDLE]) / 2
    rotation = lean_rad(knuckles - points[WRIST])
    palm = points[list(PALM)]
    centre = (palm.min(0) + palm.max(0)) / 2
    c, s = math.cos(rotation), math.sin(rotation)
    region_from_photo = np.array([[c, s], [-s, c]])
    turned = (palm - centre) @ region_from_photo.T
    low, high = turned.min(0), turned.max(0)
    side = float(max(high - low))
    x, y = centre + region_from_photo.T @ ((low + high) / 2 + np.array([0.0, -0.1 * side]))
    return Region(float(x), float(y), 2.0 * side, rotation)


def read_hand(networks: Networks, rgb: Array, region: Region, *, iterations: int = 2) -> HandReading:
    """Reads a hand, moving the region to where the hand turned out to be."""
    best = reading = networks.hand(rgb, region)
    for _ in range(iterations - 1):
        if reading.score < 0.02:
            break
        following = next_region(reading)
        if following.side_px < 4:
            break
        reading = networks.hand(rgb, following)
        if reading.score > best.score:
            best = reading
    return best


def arm_length(pose: Array) -> float:
    """Length of a forearm or upper arm, px: the longest seen, bounded below by the shoulders."""
    points = pose[:, :2]
    bones = [(11, 13), (12, 14), (13, 15), (14, 16)]
    shoulders = 0.7 * np.hypot(*(points[11] - points[12]))
    return float(max(*(np.hypot(*(points[a] - points[b])) for a, b in bones), shoulders, 1e-6))


def first_regions(pose: Array, side: int) -> list[Region]:
    """Returns the regions to try for the left (0) or right (1) hand of (33, 2+) pose landmarks, best first."""
    _, elbow, wrist, little, index = (pose[i, :2] for i in (RIGHT_ARM if side else LEFT_ARM))
    along = (little + index) / 2 - wrist
    size = max(float(np.hypot(*along)), 0.28 * arm_length(pose))
    forearm = wrist - elbow
    forearm = forearm / (np.hypot(*forearm) + 1e-6) * size
    turn, forearm_turn = lean_rad(along), lean_rad(forearm)
    tries = [
        (wrist + 1.1 * along, 4.2, turn),
        (wrist + 0.8 * forearm, 3.2, forearm_turn),
        (wrist + forearm, 4.5, forearm_turn),
    ]
    tries += [
        (wrist + 0.6 * along, factor, turn + more) for factor in (3.5, 5.0) for more in (0.8, -0.8, 1.6, -1.6, 3.1)
    ]
    tries += [(wrist + 1.1 * along, 6.5, turn), (wrist + 0.6 * along, 5.5, forearm_turn)]
    return [Region(float(p[0]), float(p[1]), factor * size, angle) for p, factor, angle in tries]


def judge(reading: HandReading, pose: Array, side: int) -> tuple[float, float]:
    """Returns quality and wrist offset (in arm lengths) of a reading as the left (0) or right (1) hand."""
    arm = arm_length(pose)
    points = reading.landmarks[:, :2]
    offset = float(np.hypot(*(points[WRIST] - pose[(RIGHT_ARM if side else LEFT_ARM)[2], :2]))) / arm
    size = float(np.hypot(*(points[MIDDLE] - points[WRIST]))) / arm
    agrees = (reading.right if side else 1 - reading.right) > 0.5
    return reading.score * float(agrees and offset < 0.45 and 0.08 < size < 0.75), offset


def hand_spread(networks: Networks, rgb: Array, reading: HandReading) -> float:
    """Median distance of four readings to their median, in diagonals of the hand."""
    regions = [reading.region.moved(scale=f, turn_rad=t, dx=dx, dy=dy) for f, t, dx, dy in SPREAD_DISTURBANCES]
    stack = np.stack([reading.landmarks[:, :2], *(networks.hand(rgb, r).landmarks[:, :2] for r in regions)])
    distances = np.linalg.norm(stack - np.median(stack, axis=0), axis=2)
    return float(np.median(distances)) / (diagonal(reading.landmarks) + 1e-6)


def find_hand(networks: Networks, rgb: Array, person: PersonPose, side: int, config: HandConfig) -> FoundHand:
    """Returns the best reading of the left (0) or right (1) hand of a pose."""
    pose = person.landmarks
    wrist = (RIGHT_ARM if side else LEFT_ARM)[2]
    # Beside a wrist that is not seen none is accepted: one look, for what is said of it.
    is_seen = float(pose[wrist, 3]) >= config.min_wrist_visibility
    best: tuple[float, float, float, HandReading] | None = None
    for number, region in enumerate(first_regions(pose, side)[: config.max_tries if is_seen else 1]):
        reading = read_hand(networks, rgb, region)
        quality, offset = judge(reading, pose, side)
        rank = quality + 0.1 * reading.score
        if best is None or rank > best[0]:
            best = (rank, quality, offset, reading)
        is_hopeless = number >= 2 and best[3].score < config.hopeless_score
        if best[1] > config.good_quality or is_hopeless:
            break
    assert best is not None
    _, quality, offset, reading = best
    if quality > 0.3 and is_seen:
        refined = read_hand(networks, rgb, next_region(reading))
        refined_quality, refined_offset = judge(refined, pose, side)
        if refined_quality > quality:
            reading, quality, offset = refined, refined_quality, refined_offset
    size_px = diagonal(reading.landmarks)
    figures = HandFigures(
        score=reading.score,
        quality=quality,
        wrist_offset=offset,
        spread=0.0,
        size_px=size_px,
        inside=float(is_inside(reading.landmarks, rgb.shape[1], rgb.shape[0], 0.0).mean()),
        wrist_visibility=float(pose[wrist, 3]),
        wrist_spread=float(person.spread_px[wrist]) / max(size_px, 1e-6),
    )
    # What is refused by another figure is not measured.
    spread = hand_spread(networks, rgb, reading) if hand_detail(figures, config) is None else UNMEASURED
    return FoundHand(reading=reading, figures=replace(figures, spread=spread))


def is_same_hand(a: HandReading, b: HandReading) -> bool:
    """Whether two readings lie on one another."""
    distance = float(np.linalg.norm(a.landmarks[:, :2] - b.landmarks[:, :2], axis=1).mean())
    return distance < 0.25 * diagonal(a.landmarks)


def drop_shared_hand(hands: tuple[FoundHand, FoundHand], accepted: list[bool]) -> list[bool]:
    """Refuses the worse of two accepted hands that lie on one another: one hand was read twice."""
    left, right = hands
    if not all(accepted) or not is_same_hand(left.reading, right.reading):
        return accepted
    is_left = left.figures.quality >= right.figures.quality
    return [is_left, not is_left]
