"""Linear blend skinning as small pure functions, written for speed on a CPU as well as a GPU.

Shapes: N flat batch, V vertices, J joints, K coefficients. Vectors are columns; a transform T_world_joint maps rest
coordinates to posed ones. Vertices travel as (N, 3, V) inside, so that skinning is one matrix product and four
multiply-adds over contiguous rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_CPU_CHUNK_FLOATS = 640_000
"""On a CPU, skinning works through a batch in slices of about this many transform entries: they stay in the cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KinematicTree:
    """A joint hierarchy prepared for level-by-level evaluation."""

    parents: tuple[int, ...]
    """Parent of each joint, -1 for the root."""
    levels: tuple[tuple[int, ...], ...]
    """Joints by distance from the root; level 0 is the root alone."""
    parent_slots: tuple[tuple[int, ...], ...]
    """For each level, where the parents lie within the level before."""
    inverse: tuple[int, ...]
    """Position of each joint in the concatenated levels."""

    @classmethod
    def from_parents(cls, parents: tuple[int, ...]) -> "KinematicTree":
        """Build from a parent list in which every parent precedes its children."""
        depth: list[int] = []
        for parent in parents:
            depth.append(0 if parent < 0 else depth[parent] + 1)
        levels = tuple(tuple(j for j, d in enumerate(depth) if d == level) for level in range(max(depth) + 1))
        slots = tuple(
            tuple(levels[k - 1].index(parents[j]) for j in level) if k else () for k, level in enumerate(levels)
        )
        order = [j for level in levels for j in level]
        inverse = tuple(order.index(j) for j in range(len(parents)))
        return cls(parents=parents, levels=levels, parent_slots=slots, inverse=inverse)


def blend(template: Tensor, dirs: Tensor, coefficients: Tensor) -> Tensor:
    """Template plus weighted directions.

    Args:
        template: (D,) flattened rest values.
        dirs: (K, D) one direction a row; only the first rows are used when fewer coefficients come.
        coefficients: (N, K') with K' <= K.

    Returns:
        (N, D).
    """
    num = coefficients.shape[-1]
    if num == 0:
        return template.expand(len(coefficients), -1)
    return torch.addmm(template, coefficients, dirs[:num])


def forward_kinematics(rotations: Tensor, rest_joints: Tensor, tree: KinematicTree) -> tuple[Tensor, Tensor]:
    """Compose local rotations along the tree.

    Args:
        rotations: (N, J, 3, 3) rotation of each joint relative to its parent.
        rest_joints: (N, J, 3) joint positions in the rest frame.
        tree: Hierarchy.

    Returns:
        Rotation of each joint in the model frame (N, J, 3, 3) and posed joint positions (N, J, 3).
    """
    parents = list(tree.parents)
    parents[0] = 0
    bones = rest_joints - rest_joints[:, parents]
    bones = torch.cat([rest_joints[:, :1], bones[:, 1:]], dim=1)
    local = torch.cat([rotations, bones[..., None]], dim=-1)
    level = local[:, :1]
    found = [level]
    for joints, slots in zip(tree.levels[1:], tree.parent_slots[1:], strict=True):
        parent = level[:, list(slots)]
        level = parent[..., :3] @ local[:, list(joints)]
        level = torch.cat([level[..., :3], level[..., 3:] + parent[..., 3:]], dim=-1)
        found.append(level)
    transforms = torch.cat(found, dim=1)[:, list(tree.inverse)]
    return transforms[..., :3], transforms[..., 3]


def skinning_transforms(rotations: Tensor, posed_joints: Tensor, rest_joints: Tensor) -> Tensor:
    """(N, J, 3, 3), (N, J, 3), (N, J, 3) -> (N, J, 3, 4) transforms that map rest vertices to posed ones."""
    translation = posed_joints - (rotations @ rest_joints[..., None])[..., 0]
    return torch.cat([rotations, translation[..., None]], dim=-1)


def skin(vertices: Tensor, transforms: Tensor, weights: Tensor) -> Tensor:
    """Apply the weighted transforms to every vertex.

    Args:
        vertices: (N, V, 3) in the rest frame.
        transforms: (N, J, 3, 4).
        weights: (J, V), columns sum to 1.

    Returns:
        (N, V, 3) posed vertices.
    """
    num_joints, num_vertices = weights.shape
    on_cpu = vertices.device.type == "cpu"
    chunk = max(1, _CPU_CHUNK_FLOATS // (12 * num_vertices)) if on_cpu else max(1, len(vertices))
    flat = transforms.permute(0, 3, 2, 1).reshape(-1, 12, num_joints)
    posed = [_skin_chunk(v, t, weights) for v, t in zip(vertices.split(chunk), flat.split(chunk), strict=True)]
    return posed[0].contiguous() if len(posed) == 1 else torch.cat(posed).contiguous()


def _skin_chunk(vertices: Tensor, transforms: Tensor, weights: Tensor) -> Tensor:
    blended = torch.matmul(transforms, weights).unflatten(1, (4, 3))
    x, y, z = vertices.transpose(1, 2)[:, :, None].unbind(1)
    moved = torch.addcmul(blended[:, 3], blended[:, 0], x)
    moved = torch.addcmul(moved, blended[:, 1], y)
    return torch.addcmul(moved, blended[:, 2], z).transpose(1, 2)


def pose_feature(rotations: Tensor) -> Tensor:
    """(N, J, 3, 3) local rotations -> (N, 9 (J - 1)): R - I of every joint but the root, row by row."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).flatten(1)
