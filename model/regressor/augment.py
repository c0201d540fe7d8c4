"""What is random about a crop: where it is cut, its roll, mirroring and colours.

The amounts are HMR2's (``do_augmentation``), the extreme crops follow its ``extreme_cropping_aggressive``: a part of
the person alone, framed by the part's keypoints. All draws come from the generator that is handed in, and always the
same number of them, so that a sample follows from its seed alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from model.body.skeleton import FACE, FEET, KEYPOINT_NAMES, LEFT_HAND, RIGHT_HAND
from model.estimators.base import Array
from model.imaging.crop import crop_square
from model.imaging.squares import Square, apply_affine, crop_affine, is_read

SEEN_SCORE = 0.3
"""Score from which a keypoint helps to frame an extreme crop."""
NEEDED_SHARE = 0.6
"""Share of a region's keypoints that must be seen: two of an arm's three, three of the torso's four."""
LARGEST_SHARE = 0.85
"""An extreme crop whose side is a larger share of the plain one's is no extreme crop."""


def _ids(*names: str) -> tuple[int, ...]:
    return tuple(KEYPOINT_NAMES.index(name) for name in names)


def _both(*parts: str) -> tuple[int, ...]:
    return _ids(*(f"{side}_{part}" for part in parts for side in ("left", "right")))


def _range(*slices: slice) -> tuple[int, ...]:
    return tuple(k for part in slices for k in range(part.start, part.stop))


_HEAD = (*_ids("nose"), *_both("eye", "ear"), *_range(FACE))
_ARMS = (*_both("elbow", "wrist"), *_range(LEFT_HAND, RIGHT_HAND))


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A part of the person that an extreme crop shows."""

    share: float
    """How often it is chosen, relative to the other regions that are seen."""
    needed: tuple[int, ...]
    """Keypoints of which ``NEEDED_SHARE`` must be seen."""
    framed: tuple[int, ...]
    """Keypoints whose extent is framed."""
    margin: float = 1.2
    """Factor on that extent, which ends at joints and not at the skin."""


REGIONS: dict[str, Region] = {
    "upper_body": Region(
        share=0.2, needed=_both("shoulder", "hip"), framed=(*_HEAD, *_ARMS, *_both("shoulder", "hip"))
    ),
    "shoulders": Region(share=0.1, needed=(*_ids("nose"), *_both("shoulder")), framed=(*_HEAD, *_both("shoulder"))),
    "head": Region(share=0.1, needed=(*_ids("nose"), *_both("eye", "ear")), framed=_HEAD, margin=1.7),
    "torso": Region(share=0.1, needed=_both("shoulder", "hip"), framed=_both("shoulder", "hip"), margin=1.4),
    "left_arm": Region(
        share=0.1,
        needed=_ids("left_shoulder", "left_elbow", "left_wrist"),
        framed=(*_ids("left_shoulder", "left_elbow", "left_wrist"), *_range(LEFT_HAND)),
        margin=1.4,
    ),
    "right_arm": Region(
        share=0.1,
        needed=_ids("right_shoulder", "right_elbow", "right_wrist"),
        framed=(*_ids("right_shoulder", "right_elbow", "right_wrist"), *_range(RIGHT_HAND)),
        margin=1.4,
    ),
    "legs": Region(
        share=0.1, needed=_both("hip", "knee", "ankle"), framed=(*_both("hip", "knee", "ankle"), *_range(FEET))
    ),
    "left_leg": Region(
        share=0.1,
        needed=_ids("left_hip", "left_knee", "left_ankle"),
        framed=(*_ids("left_hip", "left_knee", "left_ankle"), *range(FEET.start, FEET.start + 3)),
    ),
    "right_leg": Region(
        share=0.1,
        needed=_ids("right_hip", "right_knee", "right_ankle"),
        framed=(*_ids("right_hip", "right_knee", "right_ankle"), *range(FEET.start + 3, FEET.stop)),
    ),
}
"""Extreme crops by name, with the shares of HMR2 for a person who is seen from head to foot."""
WHOLE = "whole"
"""Name of a crop that is not extreme."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """How much crops vary; the defaults are HMR2's."""

    scale: float = 0.3
    """The square's side is multiplied by 1 + this times a normal draw that is cut off at -1 and 1."""
    rotation_deg: float = 30.0
    """Roll: this times a normal draw that is cut off at -2 and 2."""
    rotation_share: float = 0.6
    """Share of crops that are rolled."""
    translation: float = 0.02
    """Shift along x and along y: this times a normal draw cut off at -1 and 1, in sides of the square."""
    translation_share: float = 0.5
    """Share of crops that are shifted."""
    colour: float = 0.2
    """Each colour channel is multiplied by a factor between 1 minus and 1 plus this."""
    flip_share: float = 0.5
    """Share of crops that are mirrored."""
    extreme_crop_share: float = 0.1
    """Share of crops that show one part of the person only."""

    def __post_init__(self) -> None:
        for name in ("rotation_share", "translation_share", "flip_share", "extreme_crop_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        for name in ("scale", "colour"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 or more and below 1, got {getattr(self, name)}")
        if not 0 <= self.rotation_deg <= 90:
            raise ValueError(f"rotation_deg: expected 0 to 90, got {self.rotation_deg}")
        if not 0 <= self.translation < 0.5:
            raise ValueError(f"translation: expected 0 or more and below 0.5, got {self.translation}")

    @classmethod
    def none(cls) -> AugmentConfig:
        """Every crop as prediction cuts it."""
        return cls(
            scale=0.0,
            rotation_deg=0.0,
            rotation_share=0.0,
            translation=0.0,
            translation_share=0.0,
            colour=0.0,
            flip_share=0.0,
            extreme_crop_share=0.0,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """One draw."""

    square: Square
    """Where the crop is cut, with its roll."""
    mirrored: bool = False
    """The crop is mirrored after it is cut."""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on red, green and blue."""
    region: str = WHOLE
    """Name in ``REGIONS``, or ``whole``."""


def draw(rng: np.random.Generator, config: AugmentConfig, box_xyxy: Array, keypoints: Array) -> Augmentation:
    """Draws the augmentation of one person.

    A draw that would leave none of the person's seen keypoints in what the network reads gives up the extreme crop,
    then scale, shift and roll.

    Args:
        rng: Where all that is random comes from.
        config: How much.
        box_xyxy: (4,) px.
        keypoints: (133, 3) x, y px, score; 0 or not finite is not seen.
    """
    normal = rng.standard_normal(4)
    uniform = rng.random(8)
    zoom = 1 + config.scale * float(np.clip(normal[0], -1, 1))
    shift = config.translation * np.clip(normal[1:3], -1, 1) * (uniform[0] < config.translation_share)
    roll = math.radians(config.rotation_deg) * float(np.clip(normal[3], -2, 2)) * (uniform[1] < config.rotation_share)
    mirrored = bool(uniform[2] < config.flip_share)
    gains = 1 + config.colour * (2 * uniform[3:6] - 1)

    plain = crop_square(box_xyxy)
    candidates = [(WHOLE, _moved(plain, zoom, shift, roll)), (WHOLE, plain)]
    if uniform[6] < config.extreme_crop_share and (found := _region(float(uniform[7]), plain, keypoints)) is not None:
        candidates.insert(0, (found[0], _moved(found[1], zoom, shift, roll)))
    region, square = next((c for c in candidates if seen_inside(keypoints, c[1]).any()), candidates[-1])
    return Augmentation(
        square=square, mirrored=mirrored, gains=(float(gains[0]), float(gains[1]), float(gains[2])), region=region
    )


def seen_inside(keypoints: Array, square: Square) -> Array:
    """(K,) bool: keypoints (K, 3) that are seen and lie in the middle 3 : 4 of a square, what the network reads."""
    keypoints = np.asarray(keypoints, np.float64)
    seen = np.isfinite(keypoints).all(1) & (keypoints[:, 2] > 0)
    points = apply_affine(crop_affine(square, 1), np.where(seen[:, None], keypoints[:, :2], 0.0)) - 0.5
    return seen & is_read(points)


def _moved(square: Square, zoom: float, shift: Array, roll_rad: float) -> Square:
    x, y = square.centre_px
    side = square.side_px
    return Square(
        centre_px=(x + float(shift[0]) * side, y + float(shift[1]) * side), side_px=side * zoom, roll_rad=roll_rad
    )


def _region(choice: float, plain: Square, keypoints: Array) -> tuple[str, Square] | None:
    """The region that a uniform draw in 0..1 chooses among those that are seen and smaller than the plain crop."""
    keypoints = np.asarray(keypoints, np.float64)
    seen = np.isfinite(keypoints).all(1) & (keypoints[:, 2] >= SEEN_SCORE)
    found: list[tuple[str, Square]] = []
    for name, region in REGIONS.items():
        framed = [k for k in region.framed if seen[k]]
        if seen[list(region.needed)].mean() < NEEDED_SHARE or len(framed) < 2:
            continue
        points = keypoints[framed, :2]
        square = crop_square(np.concatenate([points.min(0), points.max(0)]), margin=region.margin)
        if 0 < square.side_px <= LARGEST_SHARE * plain.side_px:
            found.append((name, square))
    if not found:
        return None
    shares = np.cumsum([REGIONS[name].share for name, _ in found])
    return found[int(np.searchsorted(shares, choice * shares[-1], side="right").clip(0, len(found) - 1))]
