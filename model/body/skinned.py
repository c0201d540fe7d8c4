"""SMPL-X, SMPL and MANO, and what FLAME shares with them: buffers of assets, flat batches, shape -> joints -> skin."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from model.body import lbs, skeleton
from model.body.assets import BodyAssets, Kind

_DENSE_SHARE = 0.2
"""From this share of skin weights above zero on, one dense product is as fast as adding up those that are not zero."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SkinnedOutput:
    """A posed body."""

    vertices: Tensor
    """(B, V, 3) metres."""
    joints: Tensor
    """(B, J, 3) metres."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """Posed joints, and what they do to the mesh."""

    orientations: Tensor
    """(N, J, 3, 3) in the model frame."""
    joints: Tensor
    """(N, J, 3) metres."""
    transforms: Tensor
    """(N, J, 3, 4) from rest vertices to posed ones."""


POSES: Mapping[Kind, Mapping[str, int]] = {
    "smplx": {
        "global_orient": 1,
        "body_pose": skeleton.NUM_BODY_JOINTS,
        "jaw_pose": 1,
        "eye_pose": 2,
        "left_hand_pose": skeleton.NUM_HAND_JOINTS,
        "right_hand_pose": skeleton.NUM_HAND_JOINTS,
    },
    "smpl": {"global_orient": 1, "body_pose": len(skeleton.SMPL_PARENTS) - 1},
    "mano": {"global_orient": 1, "hand_pose": skeleton.NUM_HAND_JOINTS},
    "flame": {"global_orient": 1, "neck_pose": 1, "jaw_pose": 1, "eye_pose": 2},
}
"""Rotations of each kind of body in the order of its joints, and how many joints each turns."""


class SkinnedBody(nn.Module):
    """Forward pass of one body: template, blend shapes, joint regressor and skin weights as buffers.

    Joints depend linearly on the coefficients, so the regressor is applied once, here, and not in every call.

    Args:
        assets: Arrays of any kind.
        num_betas: Shape coefficients to keep; None keeps all.
        num_expression: Expression coefficients to keep; None keeps all.
    """

    vectors: ClassVar[tuple[str, ...]] = ("betas", "expression", "transl")
    """Arguments of `forward` that are no rotations."""

    template: Tensor
    dirs: Tensor
    joint_template: Tensor
    joint_dirs: Tensor
    skin_weights: Tensor
    posedirs: Tensor | None
    faces: Tensor

    def __init__(self, assets: BodyAssets, *, num_betas: int | None = None, num_expression: int | None = None) -> None:
        super().__init__()
        self.assets = assets
        self.poses = POSES[assets.kind]
        self.tree = lbs.KinematicTree.from_parents(tuple(assets.parents.tolist()))
        self.num_betas = take(num_betas, assets.shapedirs.shape[-1], "num_betas", assets.name)
        self.num_expression = take(num_expression, assets.exprdirs.shape[-1], "num_expression", assets.name)
        shape, expression = assets.shapedirs[..., : self.num_betas], assets.exprdirs[..., : self.num_expression]
        dirs = np.concatenate([shape, expression], axis=-1).astype(np.float64)
        regressor = assets.joint_regressor.astype(np.float64)
        self.register_buffer("template", flat_buffer(assets.v_template), persistent=False)
        self.register_buffer("dirs", rows_buffer(dirs), persistent=False)
        self.register_buffer("joint_template", flat_buffer(regressor @ assets.v_template), persistent=False)
        self.register_buffer("joint_dirs", rows_buffer(np.einsum("jv,vck->jck", regressor, dirs)), persistent=False)
        self.register_buffer("skin_weights", float_buffer(assets.skin_weights.T), persistent=False)
        self.skin_support = _support(self.skin_weights)
        posedirs = None if assets.posedirs is None else float_buffer(assets.posedirs)
        self.register_buffer("posedirs", posedirs, persistent=False)
        self.register_buffer("faces", torch.from_numpy(assets.faces.copy()), persistent=False)

    def forward(self, **given: Tensor | None) -> SkinnedOutput:
        """Pose the body.

        Args:
            **given: By name, None for what is left out: `betas` (B, S') and `expression` (B, E'), whose missing
                trailing ones are zero; the rotations of `POSES`, (B, 3, 3) or (B, joints, 3, 3), identity at rest (the
                flat hand); `transl` (B, 3) where the root joint ends up, else it stays at its rest position.

        Returns:
            vertices (B, V, 3) and joints (B, J, 3).

        Raises:
            TypeError: This kind of body has no argument of that name.
            ValueError: An argument has another shape, or more coefficients than this body.
        """
        batch, coefficients, rotations, root = self.flatten(**given)
        return batch.restored(self.pose(coefficients, rotations, root))

    def flatten(self, **given: Tensor | None) -> "tuple[FlatBatch, Tensor, Tensor, Tensor | None]":
        """Arguments of `forward` -> their batch, coefficients (N, K), rotations (N, J, 3, 3), transl (N, 3) or None."""
        if unknown := given.keys() - {*self.vectors, *self.poses}:
            known = ", ".join((*self.vectors, *self.poses))
            raise TypeError(
                f"{self.assets.name} has no argument {', '.join(sorted(unknown))}; its arguments are {known}"
            )
        trailing = {name: 2 if num == 1 else 3 for name, num in self.poses.items()}
        batch = FlatBatch.of(self.template, {name: (value, trailing.get(name, 1)) for name, value in given.items()})
        sizes = {"betas": self.num_betas, "expression": self.num_expression}
        coefficients = [batch.coefficients(name, given.get(name), num) for name, num in sizes.items()]
        rotations = [batch.rotations(name, given.get(name), num) for name, num in self.poses.items()]
        transl = given.get("transl")
        root = None if transl is None else batch.vector("transl", transl, 3)
        return batch, torch.cat(coefficients, dim=-1), stack_rotations(rotations), root

    def pose(self, coefficients: Tensor, rotations: Tensor, transl: Tensor | None) -> SkinnedOutput:
        """Flat batch: coefficients (N, K) shape then expression, rotations (N, J, 3, 3), transl (N, 3) of the root."""
        rest = lbs.blend(self.template, self.dirs, coefficients).unflatten(1, (-1, 3))
        joints = lbs.blend(self.joint_template, self.joint_dirs, coefficients).unflatten(1, (-1, 3))
        return self.skin(rest, joints, rotations, transl)

    def skin(self, rest: Tensor, rest_joints: Tensor, rotations: Tensor, transl: Tensor | None) -> SkinnedOutput:
        """Flat batch: rest mesh (N, V, 3), rest joints (N, J, 3), rotations (N, J, 3, 3), transl (N, 3) -> posed."""
        correctives = self.correctives(rotations)
        if correctives is not None:
            rest = rest + correctives
        posed = self.articulate(rest_joints, rotations, transl)
        vertices = lbs.skin(rest, posed.transforms, self.skin_weights, self.skin_support)
        return SkinnedOutput(vertices=vertices, joints=posed.joints)

    def correctives(self, rotations: Tensor) -> Tensor | None:
        """(N, J, 3, 3) -> what the pose adds to the rest mesh (N, V, 3), None where the body has no correctives."""
        if self.posedirs is None:
            return None
        return (lbs.pose_feature(rotations) @ self.posedirs).unflatten(1, (-1, 3))

    def articulate(self, rest_joints: Tensor, rotations: Tensor, transl: Tensor | None) -> Skeleton:
        """Flat batch: rest joints (N, J, 3), rotations (N, J, 3, 3), transl (N, 3) of the root -> posed joints."""
        world, posed = lbs.forward_kinematics(rotations, rest_joints, self.tree)
        if transl is not None:
            posed = posed + (transl - posed[:, 0])[:, None]
        transforms = lbs.skinning_transforms(world, posed, rest_joints)
        return Skeleton(orientations=world, joints=posed, transforms=transforms)

    def keep_vertices(self, ids: Tensor) -> None:
        """Leaves the body these vertices (M,) only, and dense skinning, which has forward-mode derivatives.

        Joints stay where all vertices had put them; faces mean nothing any more.
        """
        columns = (3 * ids[:, None] + torch.arange(3, device=ids.device)).flatten()
        self.template, self.dirs = self.template[columns], self.dirs[:, columns]
        self.skin_weights = self.skin_weights[:, ids]
        self.skin_support = None
        if self.posedirs is not None:
            self.posedirs = self.posedirs[:, columns]


def _support(weights: Tensor) -> lbs.SkinSupport | None:
    """Worth it where most of the weights (J, V) are zero."""
    return lbs.SkinSupport(weights) if int((weights != 0).sum()) < _DENSE_SHARE * weights.numel() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatBatch:
    """Brings optional arguments with any leading dimensions to one flat batch, and results back."""

    leading: torch.Size
    """The common leading dimensions."""
    like: Tensor
    """Gives type and device to arguments that were left out."""

    @classmethod
    def of(cls, like: Tensor, arguments: Mapping[str, tuple[Tensor | None, int]]) -> "FlatBatch":
        """Find the leading dimensions of named arguments, each given with its number of trailing dimensions."""
        shapes = {name: t.shape[: t.dim() - trailing] for name, (t, trailing) in arguments.items() if t is not None}
        try:
            # torch.broadcast_shapes imports sympy, which takes half a second.
            each = [like.new_empty(()).expand(shape) for shape in shapes.values()]
            leading = torch.broadcast_tensors(*each)[0].shape if each else torch.Size()
        except RuntimeError:
            text = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
            raise ValueError(f"The batch dimensions of the arguments do not agree: {text}.") from None
        return cls(leading=leading, like=like)

    def rotations(self, name: str, value: Tensor | None, num: int) -> Tensor:
        """(..., num, 3, 3) or None = identity -> (N, num, 3, 3). With num = 1 the joint dimension is left out."""
        trailing = (num, 3, 3) if num > 1 else (3, 3)
        if value is None:
            value = torch.eye(3, dtype=self.like.dtype, device=self.like.device).expand(trailing)
        return self.flat(name, value, trailing).reshape(-1, num, 3, 3)

    def vector(self, name: str, value: Tensor | None, size: int) -> Tensor:
        """(..., size) or None = zeros -> (N, size)."""
        if value is None:
            value = torch.zeros(size, dtype=self.like.dtype, device=self.like.device)
        return self.flat(name, value, (size,))

    def coefficients(self, name: str, value: Tensor | None, available: int) -> Tensor:
        """(..., n) with n <= available, missing trailing ones are zero, None = all zero -> (N, available)."""
        if value is None:
            return self.vector(name, None, available)
        num = value.shape[-1]
        if num > available:
            raise ValueError(f"{name} has {num} coefficients, this body has {available}: pass at most {available}.")
        flat = self.flat(name, value, (num,))
        return torch.nn.functional.pad(flat, (0, available - num)) if num < available else flat

    def restore(self, value: Tensor) -> Tensor:
        """(N, ...) -> (*leading, ...)."""
        return value.reshape(*self.leading, *value.shape[1:])

    def restored(self, body: SkinnedOutput) -> SkinnedOutput:
        """The same of a posed body."""
        return SkinnedOutput(vertices=self.restore(body.vertices), joints=self.restore(body.joints))

    def flat(self, name: str, value: Tensor, trailing: tuple[int, ...]) -> Tensor:
        """(..., *trailing) -> (N, *trailing)."""
        found = tuple(value.shape[value.dim() - len(trailing) :])
        if value.dim() < len(trailing) or found != trailing:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, expected (..., {', '.join(map(str, trailing))}).")
        return value.expand(*self.leading, *trailing).reshape(math.prod(self.leading), *trailing)


def take(asked: int | None, available: int, name: str, body: str) -> int:
    """How many coefficients to use: all of them for None, never more than there are."""
    if asked is None:
        return available
    if not 0 <= asked <= available:
        raise ValueError(f"{name} = {asked}, but {body} has {available} coefficients: choose 0..{available}.")
    return asked


def float_buffer(array: np.ndarray) -> Tensor:
    """Any array -> contiguous float32 tensor of its own."""
    return torch.tensor(np.ascontiguousarray(array), dtype=torch.float32)


def flat_buffer(array: np.ndarray) -> Tensor:
    """(V, 3) -> (3 V,)."""
    return float_buffer(np.asarray(array).reshape(-1))


def rows_buffer(dirs: np.ndarray) -> Tensor:
    """(V, 3, K) -> (K, 3 V)."""
    return float_buffer(np.asarray(dirs).reshape(-1, dirs.shape[-1]).T)


def stack_rotations(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate (N, j, 3, 3) parts along the joints."""
    return torch.cat(list(parts), dim=1)
