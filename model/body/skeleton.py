"""Names, parents and the 133-keypoint map of the body models: constants only, no arrays of any particular body.

Joint orders are those of SMPL, SMPL-X, FLAME and MANO. Keypoints follow COCO-WholeBody: 17 body, 6 feet, 68 face
(300-W order, the person's right side first), 21 left hand, 21 right hand.
"""

import itertools
from collections.abc import Mapping

from datasets_manifest.schema.ehm_fields import BODY_GROUP_NAMES

_FINGERS_MODEL = ("index", "middle", "pinky", "ring", "thumb")
_FINGERS_KEYPOINTS = ("thumb", "index", "middle", "ring", "pinky")
_TRUNK = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
_TRUNK_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)


def _finger_joints(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{finger}{k}" for finger in _FINGERS_MODEL for k in (1, 2, 3))


def _finger_parents(wrist: int, first: int) -> tuple[int, ...]:
    return tuple(wrist if k % 3 == 0 else first + k - 1 for k in range(15))


# --- SMPL-X -----------------------------------------------------------------------------------------------------------
SMPLX_JOINT_NAMES: tuple[str, ...] = (
    *_TRUNK, "jaw", "left_eye", "right_eye", *_finger_joints("left_"), *_finger_joints("right_"),
)  # fmt: skip
"""The 55 SMPL-X joints."""
SMPLX_PARENTS: tuple[int, ...] = (*_TRUNK_PARENTS, 15, 15, 15, *_finger_parents(20, 25), *_finger_parents(21, 40))
"""Parent of each SMPL-X joint; -1 for the pelvis."""
NUM_SMPLX_JOINTS = 55
NUM_BODY_JOINTS = 21
"""Joints of `body_pose`: SMPL-X joints 1..21 (the pelvis is `global_orient`)."""
NUM_MAIN_JOINTS = 22
"""Pelvis and body joints, SMPL-X joints 0..21: those of MPJPE."""
NUM_HAND_JOINTS = 15
PELVIS, NECK, HEAD, JAW, LEFT_EYE, RIGHT_EYE, LEFT_WRIST, RIGHT_WRIST = 0, 12, 15, 22, 23, 24, 20, 21
SPINE = (3, 6, 9)
"""From the pelvis up; the last is the chest."""
HIPS, KNEES, ANKLES, FOOT_JOINTS = (1, 2), (4, 5), (7, 8), (10, 11)
COLLARS, SHOULDERS, ELBOWS, WRISTS = (13, 14), (16, 17), (18, 19), (20, 21)
"""Left and right of each."""
SMPLX_EYES = slice(23, 25)
SMPLX_HEAD_JOINTS: tuple[int, ...] = (15, 22, 23, 24)
"""Head, jaw and both eyes: the joints whose skin weights define the head region."""
SMPLX_LEFT_HAND = slice(25, 40)
SMPLX_RIGHT_HAND = slice(40, 55)

# --- SMPL, FLAME, MANO ------------------------------------------------------------------------------------------------
SMPL_JOINT_NAMES: tuple[str, ...] = (*_TRUNK, "left_hand", "right_hand")
"""The 24 SMPL joints; the first 22 are those of SMPL-X."""
SMPL_PARENTS: tuple[int, ...] = (*_TRUNK_PARENTS, 20, 21)
FLAME_JOINT_NAMES: tuple[str, ...] = ("root", "neck", "jaw", "left_eye", "right_eye")
"""The 5 FLAME joints. FLAME's `root` and `neck` sit where SMPL-X has neck and head."""
FLAME_PARENTS: tuple[int, ...] = (-1, 0, 1, 1, 1)
FLAME_EYES = slice(3, 5)
MANO_JOINT_NAMES: tuple[str, ...] = ("wrist", *_finger_joints(""))
"""The 16 MANO joints of one hand."""
MANO_PARENTS: tuple[int, ...] = (-1, *_finger_parents(0, 1))

# --- the 133 keypoints ------------------------------------------------------------------------------------------------
NUM_KEYPOINTS = 133
BODY = slice(0, 17)
FEET = slice(17, 23)
FACE = slice(23, 91)
CONTOUR = slice(23, 40)
"""The 17 points of the face outline, right ear to left ear over the chin; on a mesh they depend on the head's yaw."""
INNER_FACE = slice(40, 91)
"""The 51 points of brows, nose, eyes and mouth."""
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)
BODY_AND_FEET = slice(BODY.start, FEET.stop)
HANDS = (LEFT_HAND, RIGHT_HAND)
HANDS_AND_FACE = (*HANDS, FACE)
"""Keypoints of the parts behind the body, in the order of ``PART_NAMES``."""

_BODY_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_FEET_NAMES = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
_HAND_PARTS = ("root", *(f"{finger}{k}" for finger in _FINGERS_KEYPOINTS for k in (1, 2, 3, 4)))
KEYPOINT_NAMES: tuple[str, ...] = (
    *_BODY_NAMES,
    *_FEET_NAMES,
    *(f"face_{k}" for k in range(68)),
    *(f"left_hand_{part}" for part in _HAND_PARTS),
    *(f"right_hand_{part}" for part in _HAND_PARTS),
)
"""Names of the 133 keypoints. `left_hand_thumb4` is the tip of the left thumb, `left_hand_root` the wrist."""


def _keypoint_joints() -> dict[int, int]:
    index = {name: k for k, name in enumerate(SMPLX_JOINT_NAMES)}
    found = {k: index[name] for k, name in enumerate(_BODY_NAMES) if name in index and "eye" not in name}
    for side, start in (("left", LEFT_HAND.start), ("right", RIGHT_HAND.start)):
        found[start] = index[f"{side}_wrist"]
        for f, finger in enumerate(_FINGERS_KEYPOINTS):
            found |= {start + 1 + 4 * f + k: index[f"{side}_{finger}{k + 1}"] for k in range(3)}
    return found


def _keypoint_vertices() -> dict[int, str]:
    found = {k: name for k, name in enumerate((*_BODY_NAMES, *_FEET_NAMES)) if k < 5 or k >= 17}
    for side, start in (("left", LEFT_HAND.start), ("right", RIGHT_HAND.start)):
        found |= {start + 4 + 4 * f: f"{side}_{finger}" for f, finger in enumerate(_FINGERS_KEYPOINTS)}
    return found


KEYPOINT_JOINT: dict[int, int] = _keypoint_joints()
"""Keypoint index -> SMPL-X joint, for the keypoints that are joints (limbs, wrists, knuckles)."""
KEYPOINT_VERTEX_NAME: dict[int, str] = _keypoint_vertices()
"""Keypoint index -> name in `BodyAssets.keypoint_vertices`, for those on the skin (nose, eyes, ears, toes, tips)."""
JOINT_KEYPOINTS: dict[int, tuple[int, ...]] = {
    0: (11, 12), 1: (13,), 2: (14,), 3: (5, 6), 4: (15,), 5: (16,), 6: (5, 6), 7: (17, 18, 19), 8: (20, 21, 22),
    9: (5, 6), 10: (17, 18), 11: (20, 21), 12: (0, 1, 2, 3, 4, *range(23, 91)), 13: (5,), 14: (6,),
    15: (0, 1, 2, 3, 4, *range(23, 91)), 16: (7,), 17: (8,), 18: (9, 91), 19: (10, 112), 20: tuple(range(92, 112)),
    21: tuple(range(113, 133)),
}  # fmt: skip
"""Pelvis and body joints -> keypoints below them that show how they are turned."""

_FACE_SWAPS = (
    *((k, 16 - k) for k in range(8)),
    *((17 + k, 26 - k) for k in range(5)),
    (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip


def _keypoint_flip() -> tuple[int, ...]:
    flip = list(range(NUM_KEYPOINTS))
    pairs = [(k, k + 1) for k in range(1, 17, 2)] + [(17 + k, 20 + k) for k in range(3)]
    pairs += [(23 + a, 23 + b) for a, b in _FACE_SWAPS] + [(91 + k, 112 + k) for k in range(21)]
    for a, b in pairs:
        flip[a], flip[b] = b, a
    return tuple(flip)


KEYPOINT_FLIP: tuple[int, ...] = _keypoint_flip()
"""Left/right swap: `keypoints[..., KEYPOINT_FLIP, :]` renames the keypoints of a mirrored image."""


def _joint_flip(names: tuple[str, ...]) -> tuple[int, ...]:
    index = {name: k for k, name in enumerate(names)}
    swap = {"left_": "right_", "right_": "left_"}
    side = {name: name.split("_")[0] + "_" for name in names}
    return tuple(index[swap[side[n]] + n[len(side[n]) :]] if side[n] in swap else index[n] for n in names)


SMPLX_FLIP: tuple[int, ...] = _joint_flip(SMPLX_JOINT_NAMES)
"""Left/right swap of the SMPL-X joints. A mirrored pose is M R[SMPLX_FLIP] M with M = diag(-1, 1, 1)."""


def _chain(*points: int) -> tuple[tuple[int, int], ...]:
    return tuple(itertools.pairwise(points))


def _hand_edges(start: int) -> tuple[tuple[int, int], ...]:
    fingers = (_chain(start, *range(start + 1 + 4 * f, start + 5 + 4 * f)) for f in range(5))
    return tuple(edge for finger in fingers for edge in finger)


SKELETON_EDGES: tuple[tuple[int, int], ...] = (
    *_chain(0, 1, 3), *_chain(0, 2, 4), (5, 6), (11, 12), (5, 11), (6, 12),
    *_chain(5, 7, 9), *_chain(6, 8, 10), *_chain(11, 13, 15), *_chain(12, 14, 16),
    (15, 17), (15, 18), (15, 19), (16, 20), (16, 21), (16, 22),
    *_chain(*range(23, 40)), *_chain(*range(40, 45)), *_chain(*range(45, 50)), *_chain(*range(50, 54)),
    *_chain(*range(54, 59)), *_chain(*range(59, 65), 59), *_chain(*range(65, 71), 65),
    *_chain(*range(71, 83), 71), *_chain(*range(83, 91), 83),
    *_hand_edges(91), *_hand_edges(112),
)  # fmt: skip
"""Pairs of keypoints to join by a line when drawing."""
BODY_GROUPS = dict(
    zip(BODY_GROUP_NAMES, ((0, 1, 2, 3, 4), (5, 6, 11, 12), (7, 9), (8, 10), (13, 15), (14, 16)), strict=True)
)
"""Body keypoints by limb: a limb is trusted or refused as a whole."""
BODY_GROUP_JOINTS: dict[str, tuple[int, ...]] = dict(
    zip(
        BODY_GROUP_NAMES,
        (
            (NECK, HEAD), (PELVIS, *SPINE, *COLLARS),
            *zip(SHOULDERS, ELBOWS, WRISTS, strict=True), *zip(HIPS, KNEES, ANKLES, FOOT_JOINTS, strict=True),
        ),
        strict=True,
    )
)  # fmt: skip
"""Pelvis and body joints by limb: those whose turn the limb's keypoints show. Each is in one limb."""


def _group_of(members: Mapping[str, tuple[int, ...]], count: int) -> tuple[int, ...]:
    own = {index: group for group, indices in enumerate(members.values()) for index in indices}
    return tuple(own[index] for index in range(count))


GROUP_OF_JOINT: tuple[int, ...] = _group_of(BODY_GROUP_JOINTS, NUM_MAIN_JOINTS)
"""Limb, by its number, of pelvis and body joints."""
_FEET = {"left_leg": (17, 18, 19), "right_leg": (20, 21, 22)}
GROUP_OF_KEYPOINT: tuple[int, ...] = _group_of(
    {name: (*points, *_FEET.get(name, ())) for name, points in BODY_GROUPS.items()}, FEET.stop
)
"""The same of the 17 body and 6 foot keypoints; feet belong to their leg."""
BODY_GROUP_FLIP: tuple[int, ...] = (0, 1, 3, 2, 5, 4)
"""Left/right swap of the limbs."""
