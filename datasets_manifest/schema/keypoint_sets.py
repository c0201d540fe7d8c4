"""Sets of annotated 2D keypoints, and which of the 133 COCO-WholeBody points each of their points is. The one table.

Image annotators put hips at the outside, and so do all sets here but those of markers, Human3.6M and MPI-INF-3DHP,
which lie deeper. The hips of SMPL are the joints themselves: they have no counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

KeypointSetName = Literal[
    "coco", "posetrack18", "crowdpose", "mpii", "aic", "human36m", "human36m_mmpose", "human36m_spin",
    "lsp", "openpose18", "openpose25", "hmr2_44", "spin24", "instavariety", "mpi_inf_3dhp", "mpi_inf_3dhp_test",
    "mhr70", "smpl45", "dwpose134", "humandata",
]  # fmt: skip
"""Names of the sets that a manifest may state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointSet:
    """Points of one data set, in its order."""

    points: tuple[str, ...]
    """Their names: small letters, words joined by _."""
    wholebody: tuple[int | None, ...]
    """Index of each among the 133 points, None where it has no counterpart."""
    visible_flag: Literal[1, 2] = 2
    """Flag of a point that is seen: 2 in COCO, where 1 is labelled but hidden; 1 where every labelled point has it."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the points without a counterpart."""
        return tuple(name for name, index in zip(self.points, self.wholebody, strict=True) if index is None)


_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
_NO_COUNTERPART = (
    *("head", "head_top", "top_head", "head_bottom", "upper_neck", "neck", "neck_base", "thorax", "spine"),
    *("pelvis", "root", "root_pelvis"),
)
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FACE = tuple(f"face_{k}" for k in range(68))
_INDEX: dict[str, int | None] = {name: index for index, name in enumerate((*_COCO, *_FEET, *_FACE))}
_INDEX |= {
    f"{side}_hand_{finger}{k}": first + 4 * place + k
    for side, first in (("left", 91), ("right", 112))
    for place, finger in enumerate(_FINGERS)
    for k in range(1, 5)
}
_INDEX |= {"left_hand_root": 91, "right_hand_root": 112}
_INDEX |= dict.fromkeys(_NO_COUNTERPART)


def _by_name(*points: str, visible_flag: Literal[1, 2] = 2) -> KeypointSet:
    return KeypointSet(points=points, wholebody=tuple(_INDEX[name] for name in points), visible_flag=visible_flag)


def _known(*points: str) -> KeypointSet:
    """A set some of whose points are only its own; none of them has a counterpart."""
    return KeypointSet(points=points, wholebody=tuple(_INDEX.get(name) for name in points))


def _finger_points(side: str, *, from_tip: bool) -> tuple[str, ...]:
    return tuple(
        f"{side}_hand_{finger}{k}" for finger in _FINGERS for k in (range(4, 0, -1) if from_tip else range(1, 5))
    )


def _human36m(first: str, second: str) -> KeypointSet:
    """Human3.6M as VideoPose3D and mmpose order it, legs right before left; its feet are ankles."""
    return KeypointSet(
        points=(
            "root_pelvis", *(f"{side}_{joint}" for side in (first, second) for joint in ("hip", "knee", "foot")),
            "spine", "thorax", "neck_base", "head",
            *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")),
        ),
        wholebody=(None, 12, 14, 16, 11, 13, 15, None, None, None, None, 5, 7, 9, 6, 8, 10),
        visible_flag=1,
    )  # fmt: skip


_LEGS = tuple(f"{side}_{joint}" for side in ("right", "left") for joint in ("hip", "knee", "ankle"))
_ARMS = tuple(f"{side}_{joint}" for side in ("right", "left") for joint in ("shoulder", "elbow", "wrist"))
_OPENPOSE_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")
_OPENPOSE_18 = ("nose", "neck", *_ARMS, *_LEGS, *_OPENPOSE_HEAD)
_LSP_LIMBS = (
    *(f"right_{joint}" for joint in ("ankle", "knee", "hip")), *(f"left_{joint}" for joint in ("hip", "knee", "ankle")),
    *(f"right_{joint}" for joint in ("wrist", "elbow", "shoulder")),
    *(f"left_{joint}" for joint in ("shoulder", "elbow", "wrist")),
)  # fmt: skip
OPENPOSE_25 = KeypointSet(
    points=("nose", "neck", *_ARMS, "mid_hip", *_LEGS, *_OPENPOSE_HEAD, *_FEET),
    wholebody=(0, None, 6, 8, 10, 5, 7, 9, None, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3, 17, 18, 19, 20, 21, 22),
    visible_flag=1,
)
"""OpenPose's BODY_25."""
J19 = KeypointSet(
    points=(*_LSP_LIMBS, "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head"),
    wholebody=(16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9, *[None] * 7),
    visible_flag=1,
)
"""The joints that SPIN's regressor makes of SMPL's mesh; neck and head top as LSP has them, pelvis and thorax as MPII,
spine, jaw and head as Human3.6M. Its `part` has nose, eyes (left, right) and ears (left, right) behind."""
HMR2_44 = KeypointSet(
    points=(*(f"openpose_{name}" for name in OPENPOSE_25.points), *J19.points),
    wholebody=OPENPOSE_25.wholebody + J19.wholebody,
    visible_flag=1,
)
"""Points of HMR2's records: BODY_25 as a detector found it, then J19, of which people annotated some; limbs twice."""
NUM_HUMANDATA_POINTS = 190
"""Points of HumanData; the first 144 are those of SMPL-X."""
SMPLX_144 = (
    *(55, 57, 56, 59, 58, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8, 60, 61, 62, 63, 64, 65),
    *range(127, 144),
    *range(76, 127),
    *(20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70),
    *(21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75),
)
"""Index among SMPL-X's 144 joints (55 of the skeleton, then points of the skin) of each of the 133 points."""
_HUMANDATA_EXTRAS = {144: 12, 145: 11} | {153 + k: place for k, place in enumerate(OPENPOSE_25.wholebody)}
HUMANDATA = KeypointSet(
    points=(
        *(f"smplx_{k}" for k in range(144)),
        *("right_hip", "left_hip", "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head"),
        *(f"openpose_{name}" for name in OPENPOSE_25.points),
        *("spine_4", "left_clavicle", "right_clavicle", "left_hand", "right_hand", "left_toe", "right_toe"),
        *("human36m_head", "human36m_head_top", "head_bottom", "smpl_left_hand", "smpl_right_hand"),
    ),
    # The wrist is the body's, of which the root of the hand is a copy.
    wholebody=tuple(
        SMPLX_144.index(k) if k in SMPLX_144 else _HUMANDATA_EXTRAS.get(k) for k in range(NUM_HUMANDATA_POINTS)
    ),
)
"""Points of HumanData: the 144 of SMPL-X, then others, some of them of the same places."""
SMPL_24 = _known(
    "smpl_pelvis", "smpl_left_hip", "smpl_right_hip", "smpl_spine_1", "left_knee", "right_knee", "smpl_spine_2",
    "left_ankle", "right_ankle", "smpl_spine_3", "smpl_left_foot", "smpl_right_foot", "smpl_neck", "smpl_left_collar",
    "smpl_right_collar", "smpl_head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "smpl_left_hand", "smpl_right_hand",
)  # fmt: skip
"""Joints of SMPL."""

KEYPOINT_SETS: dict[KeypointSetName, KeypointSet] = {
    "coco": _by_name(*_COCO),
    "posetrack18": _by_name("nose", "head_bottom", "head_top", *_COCO[3:], visible_flag=1),
    "crowdpose": _by_name(*_COCO[5:], "head", "neck"),
    "mpii": _by_name(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ),
    "aic": _by_name(
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
        "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    "human36m": _human36m("right", "left"),
    # mmpose's files name the legs the other way round: the hip they call left is the one nearer to the right shoulder.
    "human36m_mmpose": _human36m("left", "right"),
    # SPIN's reading of Human3.6M has the left leg first, and the left arm.
    "human36m_spin": KeypointSet(
        points=(
            "pelvis", *(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "foot")),
            "spine", "neck", "head", "head_top",
            *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")),
        ),
        wholebody=(None, 11, 13, 15, 12, 14, 16, None, None, None, None, 5, 7, 9, 6, 8, 10),
        visible_flag=1,
    ),
    "lsp": _by_name(*_LSP_LIMBS, "neck", "head_top"),
    "openpose18": _by_name(*_OPENPOSE_18),
    "openpose25": OPENPOSE_25,
    "hmr2_44": HMR2_44,
    "spin24": _known(*J19.points, "nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    # Its points 0 and 5 are called heels, and are ankles as often.
    "instavariety": KeypointSet(
        points=(
            "right_foot", "right_knee", "right_hip", "left_hip", "left_knee", "left_foot", "right_wrist", "right_elbow",
            "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top", *_COCO[:5],
            "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_ankle", "right_ankle",
        ),
        wholebody=(None, 14, 12, 11, 13, None, 10, 8, 6, 5, 7, 9, None, None, *range(5), 17, 20, 18, 21, 15, 16),
    ),
    "mpi_inf_3dhp": _known(
        "spine_3", "spine_4", "spine_2", "spine", "pelvis", "neck", "head", "head_top",
        *(f"left_{joint}" for joint in ("clavicle", "shoulder", "elbow", "wrist", "hand")),
        *(f"right_{joint}" for joint in ("clavicle", "shoulder", "elbow", "wrist", "hand")),
        *(f"left_{joint}" for joint in ("hip", "knee", "ankle", "foot", "toe")),
        *(f"right_{joint}" for joint in ("hip", "knee", "ankle", "foot", "toe")),
    ),
    "mpi_inf_3dhp_test": _by_name(
        "head_top", "neck", *_ARMS, *_LEGS, "pelvis", "spine", "head",
    ),
    "mhr70": _known(
        *_COCO[:9], *_COCO[11:], *_FEET, *_finger_points("right", from_tip=True), "right_wrist",
        *_finger_points("left", from_tip=True), "left_wrist", "left_olecranon", "right_olecranon",
        "left_cubital_fossa", "right_cubital_fossa", "left_acromion", "right_acromion", "neck",
    ),
    "smpl45": _known(
        *SMPL_24.points, "nose", "right_eye", "left_eye", "right_ear", "left_ear", *_FEET,
        *(f"{side}_hand_{finger}4" for side in ("left", "right") for finger in _FINGERS),
    ),
    "humandata": HUMANDATA,
    "dwpose134": _by_name(
        *_OPENPOSE_18, *_FEET, *_FACE,
        "left_hand_root", *_finger_points("left", from_tip=False),
        "right_hand_root", *_finger_points("right", from_tip=False),
    ),
}  # fmt: skip
"""Set by its name in manifests."""
assert set(KEYPOINT_SETS) == set(get_args(KeypointSetName))


@cache
def named_points(names: tuple[str, ...]) -> KeypointSet:
    """Points by their names, as the table writes them; those that are not known have no counterpart."""
    return _known(*names)


def keypoint_set(names: Sequence[str]) -> KeypointSet:
    """The set that a data set's own names are: one of the table, or known points in any other order.

    Args:
        names: As the data set writes them; capitals, blanks and hyphens make no difference.

    Raises:
        ValueError: A point is not known, or named twice; the sentence names it.
    """
    points = tuple(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in names)
    for known in KEYPOINT_SETS.values():
        if points == known.points:
            return known
    unknown = [name for name, point in zip(names, points, strict=True) if point not in _INDEX]
    twice = [name for name, point in zip(names, points, strict=True) if points.count(point) > 1]
    if unknown or twice or not points:
        what = f"unknown are {', '.join(unknown)}" if unknown else f"{', '.join(twice)} are one point"
        raise ValueError(
            f"the {len(names)} keypoints {', '.join(names)} are none of the known sets ({', '.join(KEYPOINT_SETS)}): "
            f"{what if points else 'there is no name'}"
        )
    return _by_name(*points)
