"""What of a person a picture shows, told by which of the 133 keypoints it shows.

A part or limb is shown by at least half of its points: of the body by half of shoulders, elbows, wrists and hips, which
say where its trunk and arms are. A joint is shown by a point below it (``JOINT_KEYPOINTS``), if its part is: its turn
is relative to the rest of the part, so that of a body of which only the head or a hand is in the picture no joint is
shown, not even those of the neck and the wrist. Fingers, jaw and eyes are shown with their part.

Legend: (...) any leading dimensions, 133 keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body import skeleton

SHOWN_SHARE = 0.5
"""Share of a part's points that must be shown."""
_HANDS_AND_FACE = [tuple(range(own.start, own.stop)) for own in skeleton.HANDS_AND_FACE]
SHOWING_POINTS: dict[str, tuple[int, ...]] = dict(zip(PART_NAMES, (tuple(range(5, 13)), *_HANDS_AND_FACE), strict=True))
"""Points by which each part is shown; of the body shoulders, elbows, wrists and hips."""
_PART_JOINTS = {
    "body": (0, skeleton.NUM_MAIN_JOINTS),
    "face": (skeleton.NUM_MAIN_JOINTS, skeleton.SMPLX_LEFT_HAND.start),
    "left_hand": (skeleton.SMPLX_LEFT_HAND.start, skeleton.SMPLX_LEFT_HAND.stop),
    "right_hand": (skeleton.SMPLX_RIGHT_HAND.start, skeleton.SMPLX_RIGHT_HAND.stop),
}
PART_OF_JOINT = [PART_NAMES.index(part) for part, ends in _PART_JOINTS.items() for _ in range(*ends)]  # pyright: ignore
"""Part of each of the 55 SMPL-X joints, as its place in ``PART_NAMES``."""


def shown_parts(points: Tensor) -> Tensor:
    """(..., 133) bool, which points are shown -> (..., 4) bool, which parts are, in the order of ``PART_NAMES``."""
    return _shown(points, [SHOWING_POINTS[name] for name in PART_NAMES])


def shown_limbs(points: Tensor) -> Tensor:
    """(..., 133) bool -> (..., 6) bool, which limbs are shown, likewise, in the order of ``BODY_GROUPS``."""
    return _shown(points, skeleton.BODY_GROUPS.values())


def points_below(points: Tensor) -> Tensor:
    """(..., 133) bool -> (..., 22) bool, pelvis and body joints that have a point below them among those shown."""
    return torch.stack([points[..., list(own)].any(-1) for own in skeleton.JOINT_KEYPOINTS.values()], -1)


def shown_joints(points: Tensor) -> Tensor:
    """(..., 133) bool, which points are shown -> (..., 55) bool, which of the SMPL-X joints are."""
    shown = shown_parts(points)[..., PART_OF_JOINT]
    shown[..., : skeleton.NUM_MAIN_JOINTS] &= points_below(points)
    return shown


def _shown(points: Tensor, groups: Iterable[tuple[int, ...]]) -> Tensor:
    shares = [points[..., list(own)].double().mean(-1) for own in groups]
    return torch.stack(shares, -1) >= SHOWN_SHARE
