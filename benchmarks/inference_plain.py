"""What the regressor and EHM-s are compared with: the same numbers by the plain way of published code, and `smplx`."""

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.body import skeleton
from model.body.assets import EhmAssets
from model.body.blended_head import blended_basis
from model.body.ehms import EhmOutput, EHMs
from model.body.open_body.builder.layout import model_dict
from model.body.parameters import EhmParameters
from model.body.skinned import float_buffer
from model.networks import cross_decoder, vit
from model.regressor.network import EhmRegressor

_NUM_POSE_FEATURES = 9 * (skeleton.NUM_SMPLX_JOINTS - 1)


def has_smplx() -> bool:
    """Whether the package `smplx` is installed."""
    return importlib.util.find_spec("smplx") is not None


class PlainAttention(nn.Module):
    """Three projections and a softmax over a table of all scores, as most published transformers write it."""

    def __init__(self, rows: Sequence[tuple[Tensor, Tensor | None]], out: nn.Module, heads: int) -> None:
        """`rows`: weight and bias of queries, keys and values."""
        super().__init__()
        self.heads, self.out = heads, out
        self.projections = nn.ModuleList(_linear(weight, bias) for weight, bias in rows)

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, T, D) and (B, N, C), or the tokens themselves -> (B, T, D)."""
        sources = (tokens, tokens if context is None else context, tokens if context is None else context)
        projected = [layer(source) for layer, source in zip(self.projections, sources, strict=True)]
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected)
        scores = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
        return self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


class _Alone(nn.Module):
    """Self-attention where a context is handed over."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D); the context is not used."""
        return self.inner(tokens)


def plain_network(network: EhmRegressor) -> EhmRegressor:
    """A copy of the network with plain attention everywhere."""
    found = copy.deepcopy(network)
    for module in list(found.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, vit.Attention):
                rows = _thirds(child.qkv)
                setattr(module, name, PlainAttention(rows, child.proj, child.heads))
            elif isinstance(child, cross_decoder.SelfAttention):
                setattr(module, name, _Alone(PlainAttention(_thirds(child.to_qkv), child.to_out, child.heads)))
            elif isinstance(child, cross_decoder.CrossAttention):
                key, value = child.to_kv.weight.chunk(2)
                rows = [(child.to_q.weight, None), (key, None), (value, None)]
                setattr(module, name, PlainAttention(rows, child.to_out, child.heads))
    return found


class PlainBody(nn.Module):
    """EHM-s the way of published SMPL-X code.

    Shape directions by einsum over (V, 3, K), pose correctives of every joint on every vertex (zeros where the body has
    none), joints one after the other, a 4 x 4 matrix of every vertex from all joints. Rest joints come from tables, not
    from a regressor over the mesh: that favours this baseline.
    """

    template: Tensor
    dirs: Tensor
    joint_template: Tensor
    joint_dirs: Tensor
    head_weight: Tensor
    weights: Tensor
    posedirs: Tensor

    def __init__(self, body: EHMs) -> None:
        super().__init__()
        basis = blended_basis(body.assets, body.size)
        table = body.assets.smplx.posedirs
        if table is None:
            table = np.zeros((_NUM_POSE_FEATURES, 3 * len(basis.template)))
        for name, value in (
            ("template", float_buffer(basis.template)),
            ("dirs", float_buffer(basis.dirs)),
            ("joint_template", float_buffer(basis.joint_template)),
            ("joint_dirs", float_buffer(basis.joint_dirs)),
            ("head_weight", float_buffer(basis.head_weight)),
            ("weights", body.body.skin_weights.T.contiguous()),
            ("posedirs", float_buffer(table)),
        ):
            self.register_buffer(name, value, persistent=False)
        self.keypoints = copy.deepcopy(body.keypoints)

    def forward(self, people: EhmParameters) -> EhmOutput:
        """B people at the origin."""
        coefficients, local, head_scale = people.rest_coefficients(), people.local_rotations(), people.head_scale
        rest = self.template + torch.einsum("bk,vck->bvc", coefficients, self.dirs)
        joints = self.joint_template + torch.einsum("bk,jck->bjc", coefficients, self.joint_dirs)
        head, grow = joints[:, skeleton.HEAD, None], (head_scale - 1)[:, None]
        rest = rest + self.head_weight[:, None] * grow * (rest - head)
        face = slice(skeleton.JAW, skeleton.RIGHT_EYE + 1)
        joints = torch.cat([joints[:, : face.start], joints[:, face] + grow * (joints[:, face] - head),
                            joints[:, face.stop :]], 1)  # fmt: skip
        feature = (local[:, 1:] - torch.eye(3, device=local.device)).flatten(1)
        rest = rest + (feature @ self.posedirs).unflatten(1, (-1, 3))
        chain: list[Tensor] = []
        bottom = local.new_zeros(len(local), 1, 4)
        bottom[..., 3] = 1
        for joint, parent in enumerate(skeleton.SMPLX_PARENTS):
            bone = joints[:, joint] - (joints[:, parent] if parent >= 0 else 0)
            relative = torch.cat([torch.cat([local[:, joint], bone[..., None]], 2), bottom], 1)
            chain.append(chain[parent] @ relative if parent >= 0 else relative)
        world = torch.stack(chain, 1)
        moved = world[..., :3, 3] - (world[..., :3, :3] @ joints[..., None])[..., 0]
        last = torch.nn.functional.pad(moved, (0, 1), value=1.0)
        transforms = torch.cat([world[..., :3], last[..., None]], 3)
        every = (self.weights.expand(len(local), -1, -1) @ transforms.flatten(2)).unflatten(2, (4, 4))
        homogeneous = torch.cat([rest, torch.ones_like(rest[..., :1])], 2)
        vertices = (every @ homogeneous[..., None])[..., :3, 0]
        posed = world[..., :3, 3]
        points = self.keypoints(vertices, posed, world[:, skeleton.HEAD, :3, :3], "camera")
        return EhmOutput(vertices=vertices, joints=posed, keypoints=points)


class SmplxPackage(nn.Module):
    """The package's own layer that takes rotation matrices, with the contour of the face; it knows no FLAME head."""

    def __init__(self, assets: EhmAssets, folder: Path) -> None:
        """`folder` gets the body as a file of the package."""
        super().__init__()
        import smplx  # Optional: its licence is not commercial.

        # The open body under its official keys; correctives are those of the assets, or zeros.
        correctives, shape = assets.smplx.posedirs, (assets.smplx.num_vertices, 3, _NUM_POSE_FEATURES)
        table = np.zeros(shape, np.float32) if correctives is None else correctives.T.reshape(shape)
        arrays: dict[str, Any] = {**model_dict("smplx"), "posedirs": table}
        np.savez(folder / "SMPLX_NEUTRAL.npz", **arrays)
        self.layer = smplx.SMPLXLayer(
            str(folder), num_betas=10, num_expression_coeffs=10, use_pca=False, flat_hand_mean=True,
            use_face_contour=True,
        )  # fmt: skip

    def forward(self, people: EhmParameters) -> Tensor:
        """Vertices (B, V, 3) of the people without what FLAME adds."""
        return self.layer(
            betas=people.betas, global_orient=people.global_orient[:, None], body_pose=people.body_pose,
            left_hand_pose=people.left_hand_pose, right_hand_pose=people.right_hand_pose,
            jaw_pose=people.jaw_pose[:, None], leye_pose=people.eye_pose[:, :1], reye_pose=people.eye_pose[:, 1:],
            expression=torch.zeros_like(people.flame_expression),
        ).vertices  # fmt: skip


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def _thirds(layer: nn.Linear) -> list[tuple[Tensor, Tensor | None]]:
    biases = (None, None, None) if layer.bias is None else layer.bias.chunk(3)
    return list(zip(layer.weight.chunk(3), biases, strict=True))
