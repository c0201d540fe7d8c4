"""Linear blend skinning as small pure functions, written for speed on a CPU as well as a GPU.

Shapes: N flat batch, V vertices, J joints, K coefficients. Vectors are columns; a transform T_world_joint maps rest
coordinates to posed ones. Vertices travel as (N, 3, V) inside, so that skinning is one product with the weights and
four multiply-adds over contiguous rows. No function reads a value back to the host or sends one to the device.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CPU_CHUNK_FLOATS = 640_000
"""On a CPU, skinning works through a batch in slices of about this many transform entries: they stay in the cache."""


class KinematicTree(nn.Module):
    """A joint hierarchy prepared for evaluation by doubling: each round makes all chains twice as long.

    The slot behind the last joint stands for what lies above the root: the identity.
    """

    bone_parents: Tensor
    ancestors: Tensor
    padding: Tensor

    def __init__(self, parents: tuple[int, ...]) -> None:
        super().__init__()
        self.parents = parents
        """Parent of each joint, -1 for the root."""
        above = len(parents)
        step = [parent if parent >= 0 else above for parent in parents] + [above]
        bone_parents, rounds = torch.tensor(step[:-1]), []
        while any(joint != above for joint in step):
            rounds.append(step)
            step = [step[joint] for joint in step]
        # (J,), the root's is the slot of zeros behind the last joint.
        self.register_buffer("bone_parents", bone_parents, persistent=False)
        # (rounds, J + 1): the joint 1, 2, 4, ... generations up.
        self.register_buffer("ancestors", torch.tensor(rounds).reshape(-1, above + 1), persistent=False)
        # (J + 1, 4, 4): what makes 3 x 4 transforms and a slot of zeros 4 x 4 ones and the identity.
        padding = torch.zeros(above + 1, 4, 4)
        padding[:, 3, 3], padding[above] = 1.0, torch.eye(4)
        self.register_buffer("padding", padding, persistent=False)

    @classmethod
    def from_parents(cls, parents: tuple[int, ...]) -> "KinematicTree":
        """Build from a parent list in which every parent precedes its children."""
        if any(not -1 <= parent < joint for joint, parent in enumerate(parents)):
            raise ValueError(f"Every parent must come before its children and be -1 or a joint, got {parents}.")
        return cls(parents)


class SkinSupport(nn.Module):
    """The skin weights above zero, vertex by vertex: a vertex hangs on two joints of 55 on average.

    Args:
        weights: (J, V).
    """

    joints: Tensor
    weights: Tensor
    starts: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        used = weights.T != 0
        counts = used.sum(1)
        self.register_buffer("joints", used.nonzero()[:, 1].contiguous(), persistent=False)
        self.register_buffer("weights", weights.T[used].contiguous(), persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)

    def blend(self, rows: Tensor) -> Tensor:
        """(J, C) values of the joints -> (V, C) of the vertices."""
        return F.embedding_bag(self.joints, rows, self.starts, mode="sum", per_sample_weights=self.weights)


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
    padded = F.pad(rest_joints, (0, 0, 0, 1))
    bones = rest_joints - padded.index_select(1, tree.bone_parents)
    # 4 x 4 transforms relative to the parent, and one identity behind them.
    chain = F.pad(torch.cat([rotations, bones[..., None]], dim=-1), (0, 0, 0, 1, 0, 1)) + tree.padding
    for up in tree.ancestors:
        chain = chain.index_select(1, up) @ chain
    chain = chain[:, :-1, :3]
    return chain[..., :3], chain[..., 3]


def skinning_transforms(rotations: Tensor, posed_joints: Tensor, rest_joints: Tensor) -> Tensor:
    """(N, J, 3, 3), (N, J, 3), (N, J, 3) -> (N, J, 3, 4) transforms that map rest vertices to posed ones."""
    translation = posed_joints - (rotations @ rest_joints[..., None])[..., 0]
    return torch.cat([rotations, translation[..., None]], dim=-1)


def cpu_chunk(num_vertices: int) -> int:
    """People to skin at a time on a CPU."""
    return max(1, _CPU_CHUNK_FLOATS // (12 * num_vertices))


def skin(vertices: Tensor, transforms: Tensor, weights: Tensor, support: SkinSupport | None = None) -> Tensor:
    """Apply the weighted transforms to every vertex.

    Args:
        vertices: (N, V, 3) in the rest frame; a transposed view of (N, 3, V) is read without a copy.
        transforms: (N, J, 3, 4).
        weights: (J, V), columns sum to 1.
        support: The same weights without the zeros; a CPU is several times faster with it, other devices ignore it.
            Derivatives through it are reverse-mode only.

    Returns:
        (N, V, 3) posed vertices.
    """
    num_joints, num_vertices = weights.shape
    on_cpu = vertices.device.type == "cpu"
    chunk = cpu_chunk(num_vertices) if on_cpu else max(1, len(vertices))
    flat = transforms.permute(0, 3, 2, 1).reshape(-1, 12, num_joints)
    support = support if on_cpu else None
    posed = [_skin_chunk(v, t, weights, support) for v, t in zip(vertices.split(chunk), flat.split(chunk), strict=True)]
    return posed[0].contiguous() if len(posed) == 1 else torch.cat(posed)


def _skin_chunk(vertices: Tensor, transforms: Tensor, weights: Tensor, support: SkinSupport | None) -> Tensor:
    if support is None:
        blended = torch.matmul(transforms, weights).unflatten(1, (4, 3))
    else:
        rows = support.blend(transforms.flatten(0, 1).T.contiguous())
        blended = rows.T.contiguous().unflatten(0, (-1, 4, 3))
    x, y, z = vertices.transpose(1, 2)[:, :, None].unbind(1)
    moved = torch.addcmul(blended[:, 3], blended[:, 0], x)
    moved = torch.addcmul(moved, blended[:, 1], y)
    return torch.addcmul(moved, blended[:, 2], z).transpose(1, 2)


def pose_feature(rotations: Tensor) -> Tensor:
    """(N, J, 3, 3) local rotations -> (N, 9 (J - 1)): R - I of every joint but the root, row by row."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).flatten(1)
