"""The MakeHuman rig (163 bones) and how its bones become the 55 SMPL-X joints."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.body.open_body.builder.source import BaseMesh, read_rig
from model.body.skeleton import SMPLX_JOINT_NAMES

SIDES = {"L": "left", "R": "right"}
FINGERS = {"1": "thumb", "2": "index", "3": "middle", "4": "ring", "5": "pinky"}
_TRUNK_BONES = {
    "root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "pelvis", "spine03": "spine1",
    "spine02": "spine2", "breast": "spine2", "spine01": "spine3",
}  # fmt: skip
_LIMB_BONES = {
    "clavicle": "collar", "shoulder01": "collar", "upperarm": "shoulder", "lowerarm": "elbow", "wrist": "wrist",
    "metacarpal": "wrist", "upperleg": "hip", "lowerleg": "knee", "foot": "ankle", "toe": "foot", "eye": "eye",
}  # fmt: skip
_JAW_BONES = {"jaw", "special04", "oris02", "oris01", "oris06.L", "oris07.L", "oris06.R", "oris07.R"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Bones in an order where parents come first."""

    bones: tuple[str, ...]
    """(K,) names."""
    parents: dict[str, str]
    """Bone -> parent; the root's is empty."""
    heads: dict[str, np.ndarray]
    """Bone -> base vertices whose mean is the bone's start."""
    tails: dict[str, np.ndarray]
    """Bone -> base vertices whose mean is the bone's end."""
    skin: dict[str, tuple[np.ndarray, np.ndarray]]
    """Bone -> (base vertices, weights)."""

    def head(self, vertices: np.ndarray, bone: str) -> np.ndarray:
        """Start (..., 3) of a bone on base-mesh vertices (..., B, 3)."""
        return vertices[..., self.heads[bone], :].mean(-2, dtype=np.float64)

    def tail(self, vertices: np.ndarray, bone: str) -> np.ndarray:
        """End (..., 3) of a bone on base-mesh vertices (..., B, 3)."""
        return vertices[..., self.tails[bone], :].mean(-2, dtype=np.float64)

    def skin_weights(self, base_ids: np.ndarray, num_base_vertices: int) -> np.ndarray:
        """Weights (V, K) of the body vertices, rows sum to 1."""
        weights = np.zeros((num_base_vertices, len(self.bones)))
        for k, bone in enumerate(self.bones):
            vertices, values = self.skin[bone]
            np.add.at(weights[:, k], vertices, values)
        weights = weights[base_ids]
        return weights / weights.sum(1, keepdims=True)


def load_rig(root: Path, mesh: BaseMesh) -> Rig:
    """Read the rig and resolve where its bones start and end on the base mesh."""
    description, weights = read_rig(root)
    cubes = {name: np.unique(quads[..., 0]) for name, quads in mesh.groups.items()}

    def anchor(end: dict) -> np.ndarray:
        if end["strategy"] == "VERTEX":
            return np.array([end["vertex_index"]])
        return cubes[end["cube_name"]] if end["strategy"] == "CUBE" else np.array(end["vertex_indices"])

    order = [bone for bone in description if not description[bone]["parent"]]
    for bone in order:
        order += [child for child in description if description[child]["parent"] == bone]
    return Rig(
        bones=tuple(order),
        parents={bone: description[bone]["parent"] or "" for bone in order},
        heads={bone: anchor(description[bone]["head"]) for bone in order},
        tails={bone: anchor(description[bone]["tail"]) for bone in order},
        skin={bone: _skin(weights.get(bone, [])) for bone in order},
    )


def joint_of_bone(bone: str) -> str:
    """The SMPL-X joint that moves what this bone moves."""
    base, _, letter = bone.partition(".")
    side = SIDES.get(letter, "")
    if base in _TRUNK_BONES:
        return _TRUNK_BONES[base]
    if base.startswith("finger"):
        return f"{side}_{FINGERS[base[6]]}{base[8]}"
    if base.startswith("neck"):
        return "neck"
    if bone in _JAW_BONES or base.startswith("tongue"):
        return "jaw"
    for stem, joint in _LIMB_BONES.items():
        if base == stem or (stem != "eye" and base.startswith(stem)):
            return f"{side}_{joint}"
    return "head"


def bone_at_joint() -> dict[str, str]:
    """SMPL-X joint -> the bone that starts there, for the joints where one does."""
    found = {
        "spine1": "spine03", "spine2": "spine02", "spine3": "spine01", "neck": "neck01", "head": "head", "jaw": "jaw",
    }  # fmt: skip
    limbs = {
        "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "shoulder": "upperarm01", "elbow": "lowerarm01",
        "wrist": "wrist", "eye": "eye",
    }  # fmt: skip
    for letter, side in SIDES.items():
        found |= {f"{side}_{joint}": f"{bone}.{letter}" for joint, bone in limbs.items()}
        found |= {f"{side}_{f}{k}": f"finger{n}-{k}.{letter}" for n, f in FINGERS.items() for k in (1, 2, 3)}
    return found


def rest_joints(rig: Rig, vertices: np.ndarray) -> np.ndarray:
    """SMPL-X joints (..., 55, 3) on base-mesh vertices (..., B, 3) in the MakeHuman rest pose."""

    def middle(*bones: str) -> np.ndarray:
        return np.mean([rig.head(vertices, bone) for bone in bones], 0)

    joints = {joint: rig.head(vertices, bone) for joint, bone in bone_at_joint().items()}
    joints["pelvis"] = middle("pelvis.L", "spine04")
    for letter, side in SIDES.items():
        joints[f"{side}_foot"] = middle(*(f"toe{k}-1.{letter}" for k in range(1, 6)))
        joints[f"{side}_collar"] = middle(f"clavicle.{letter}", f"shoulder01.{letter}")
    return np.stack([joints[name] for name in SMPLX_JOINT_NAMES], -2)


def _skin(pairs: list) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.float64)
