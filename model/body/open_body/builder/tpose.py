"""Pose every sampled person to the same T-pose, with the full rig, so that shapes can be compared vertex by vertex.

MakeHuman people rest in an A-pose with bent elbows and half-curled fingers. Here: arms along x, palms down, fingers
straight with a small spread, legs 1.5 degrees apart, trunk and head as they are.
"""

import numpy as np

from model.body.open_body.builder.rig import SIDES, Rig, bone_at_joint
from model.body.open_body.builder.rotation import about, apply, fraction, shortest
from model.body.skeleton import SMPLX_JOINT_NAMES

LEG_ANGLE_RAD = np.radians(1.5)
FINGER_SPREAD_RAD = dict(zip(("2", "3", "4", "5"), np.radians([7.0, 0.0, -7.0, -14.0]), strict=True))
"""Rig finger -> angle in the palm's plane, + towards the thumb."""
_ROLL_SHARE = {"lowerarm01": 0.25, "lowerarm02": 0.75}
"""Share of the hand's roll that each half of the forearm takes."""
_STAYS_UPRIGHT = ("foot", "pelvis", "toe")
_CARRIER_OF_JOINT = {
    "pelvis": "root", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01", "neck": "neck01", "head": "head",
    "jaw": "head", "hip": "root", "knee": "upperleg02", "ankle": "lowerleg02", "foot": "foot", "collar": "clavicle",
    "shoulder": "shoulder01", "elbow": "upperarm02", "wrist": "lowerarm02", "eye": "head",
}  # fmt: skip
"""Joint -> the bone in which it is fixed."""


def t_pose(
    rig: Rig, base_vertices: np.ndarray, base_ids: np.ndarray, skin_weights: np.ndarray, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T-pose N people.

    Args:
        rig: The full rig.
        base_vertices: (N, B, 3) in the MakeHuman rest pose.
        base_ids: (V,) base vertices of the body.
        skin_weights: (V, K) weights of the full rig.
        joints: (N, 55, 3) SMPL-X joints in the same pose; they steer the posing.

    Returns:
        Vertices (N, V, 3) float32 and joints (N, 55, 3).
    """
    heads = _bone_heads(rig, base_vertices, joints)
    turns = _bone_rotations(rig, base_vertices, joints, heads)
    posed_heads: dict[str, np.ndarray] = {}
    for bone in rig.bones:
        parent = rig.parents[bone]
        if not parent:
            posed_heads[bone] = heads[bone]
            continue
        posed_heads[bone] = posed_heads[parent] + apply(turns[parent], heads[bone] - heads[parent])

    rotation = np.stack([turns[bone] for bone in rig.bones], 1)
    starts = np.stack([heads[bone] for bone in rig.bones], 1)
    shift = np.stack([posed_heads[bone] for bone in rig.bones], 1) - apply(rotation, starts)
    transforms = np.concatenate([rotation, shift[..., None]], -1).astype(np.float32)
    weights = skin_weights.astype(np.float32)
    posed = np.empty((len(base_vertices), len(base_ids), 3), np.float32)
    for n, transform in enumerate(transforms):
        blended = (weights @ transform.reshape(len(rig.bones), 12)).reshape(-1, 3, 4)
        posed[n] = apply(blended[..., :3], base_vertices[n, base_ids]) + blended[..., 3]

    carrier = [rig.bones.index(_carrier(name)) for name in SMPLX_JOINT_NAMES]
    return posed, apply(rotation[:, carrier], joints) + shift[:, carrier]


def _carrier(joint: str) -> str:
    side, _, name = joint.partition("_")
    if side not in SIDES.values():
        return _CARRIER_OF_JOINT[joint]
    letter = side[0].upper()
    if name in _CARRIER_OF_JOINT:
        bone = _CARRIER_OF_JOINT[name]
        return bone if bone in ("root", "head") else f"{bone}.{letter}"
    return bone_at_joint()[joint]


def _bone_heads(rig: Rig, vertices: np.ndarray, joints: np.ndarray) -> dict[str, np.ndarray]:
    """Bone starts (N, 3); where a joint of ours starts there, ours counts (all but spine, jaw and eyes)."""
    heads = {bone: rig.head(vertices, bone) for bone in rig.bones}
    for joint, bone in bone_at_joint().items():
        if not joint.startswith(("spine", "jaw")) and "eye" not in joint:
            heads[bone] = joints[:, SMPLX_JOINT_NAMES.index(joint)]
    return heads


def _bone_rotations(
    rig: Rig, vertices: np.ndarray, joints: np.ndarray, heads: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """World rotation (N, 3, 3) of each bone; bones without a rule follow their parent."""
    turns: dict[str, np.ndarray] = {}
    for letter, sign in (("L", 1.0), ("R", -1.0)):
        turns |= _arm(heads, letter, sign)
        turns |= _fingers(rig, vertices, heads, turns[f"wrist.{letter}"], letter, sign)
        turns |= _leg(heads, letter, sign)
    still = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
    for bone in rig.bones:
        if bone not in turns:
            parent = rig.parents[bone]
            turns[bone] = still if not parent or bone.startswith(_STAYS_UPRIGHT) else turns[parent]
    return turns


def _arm(heads: dict[str, np.ndarray], letter: str, sign: float) -> dict[str, np.ndarray]:
    out = np.array([sign, 0.0, 0.0])
    shoulder, elbow, wrist = (heads[f"{bone}.{letter}"] for bone in ("upperarm01", "lowerarm01", "wrist"))
    upper = shortest(elbow - shoulder, out)
    lower = shortest(apply(upper, wrist - elbow), out) @ upper
    hand = shortest(apply(lower, heads[f"finger3-1.{letter}"] - wrist), out) @ lower
    across = apply(hand, heads[f"finger2-1.{letter}"] - heads[f"finger5-1.{letter}"])
    across = across - (across @ out)[:, None] * out
    forward = np.array([0.0, 0.0, 1.0])
    roll = np.arctan2(np.cross(across, forward) @ out, across @ forward)
    hand = about(out, roll) @ hand
    turns = {"clavicle": fraction(upper, 0.15), "shoulder01": fraction(upper, 0.4), "upperarm01": upper,
             "upperarm02": upper, "wrist": hand}  # fmt: skip
    turns |= {bone: about(out, share * roll) @ lower for bone, share in _ROLL_SHARE.items()}
    turns |= {f"metacarpal{k}": hand for k in range(1, 5)}
    turns |= {f"finger1-{k}": hand for k in (1, 2, 3)}
    return {f"{bone}.{letter}": turn for bone, turn in turns.items()}


def _fingers(
    rig: Rig, vertices: np.ndarray, heads: dict[str, np.ndarray], hand: np.ndarray, letter: str, sign: float
) -> dict[str, np.ndarray]:
    turns = {}
    for finger, spread in FINGER_SPREAD_RAD.items():
        along = about(np.array([0.0, 1.0, 0.0]), -sign * spread) @ np.array([sign, 0.0, 0.0])
        turn = hand
        for k in (1, 2, 3):
            bone = f"finger{finger}-{k}.{letter}"
            end = heads[f"finger{finger}-{k + 1}.{letter}"] if k < 3 else rig.tail(vertices, bone)
            turn = shortest(apply(turn, end - heads[bone]), along) @ turn
            turns[bone] = turn
    return turns


def _leg(heads: dict[str, np.ndarray], letter: str, sign: float) -> dict[str, np.ndarray]:
    down = heads[f"foot.{letter}"] - heads[f"upperleg01.{letter}"]
    angle = np.arctan2(sign * down[:, 0], -down[:, 1])
    turn = about(np.array([0.0, 0.0, 1.0]), -sign * (angle - LEG_ANGLE_RAD))
    return {f"{bone}.{letter}": turn for bone in ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02")}
