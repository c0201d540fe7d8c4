"""Gaussians of a person, in any pose: those on vertices turn with the skin, those on texels with their faces.

Legend: B people, V vertices, F faces, T texels on the mesh, K colour channels.
"""

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from model.renderer.splat.gaussians import Gaussians

_SMALLEST2 = 1e-20
"""Square of the shortest length that is divided by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """What N Gaussians are, apart from where."""

    colours: Tensor
    """(B, N, K)."""
    opacities: Tensor
    """(B, N), 0..1."""
    scales: Tensor
    """(B, N, 3) standard deviations along their axes: metres on vertices, sizes of their faces on texels."""
    rotations_wxyz: Tensor
    """(B, N, 4) unit quaternions, real part first as in the published code: relative to the skin or to the face."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """What a person looks like in any pose."""

    vertices: Attributes
    """N = V."""
    texels: Attributes
    """N = T."""
    offsets: Tensor
    """(B, T, 3) from the surface, in sizes of the face along its axes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Faces:
    """Axes and sizes of the triangles of posed meshes."""

    axes: Tensor
    """(B, F, 3, 3), columns: along the first edge, the normal, and what makes them right-handed."""
    sizes_m: Tensor
    """(B, F): mean of the first edge's length and the height above it."""

    @classmethod
    def of(cls, vertices_m: Tensor, faces: Tensor) -> "Faces":
        """Faces (F, 3) of vertices (B, V, 3)."""
        first, second, third = vertices_m[:, faces].unbind(2)
        edge, other = second - first, third - first
        along = _unit(edge)
        normal = _unit(torch.linalg.cross(along, other))
        across = -_unit(torch.linalg.cross(normal, along))
        height = (across * other).sum(-1).abs()
        return cls(axes=torch.stack([along, normal, across], -1), sizes_m=(_length(edge) + height) / 2)


def posed(
    appearance: Appearance,
    vertices_m: Tensor,
    rotations: Tensor,
    faces: Tensor,
    texel_faces: Tensor,
    texel_weights: Tensor,
) -> Gaussians:
    """All Gaussians of posed people, vertices first.

    Args:
        appearance: Of the people.
        vertices_m: (B, V, 3) in the frame of the camera.
        rotations: (B, V, 3, 3) blended transforms of the skin, which need not be rotations.
        faces: (F, 3).
        texel_faces: (T,) face of each texel.
        texel_weights: (T, 3) where on it.
    """
    skin = roma.rotmat_to_unitquat(rotations)
    own = roma.quat_wxyz_to_xyzw(appearance.vertices.rotations_wxyz)
    vertex_axes = roma.unitquat_to_rotmat(torch.nn.functional.normalize(roma.quat_product(skin, own), dim=-1))
    found = Faces.of(vertices_m, faces)
    axes, sizes = found.axes[:, texel_faces], found.sizes_m[:, texel_faces, None]
    surface = torch.einsum("tk,btkj->btj", texel_weights, vertices_m[:, faces[texel_faces]])
    offsets = (axes @ appearance.offsets[..., None])[..., 0]
    texel_axes = axes @ roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(appearance.texels.rotations_wxyz))
    scales = torch.cat([appearance.vertices.scales, appearance.texels.scales * sizes], 1)
    colours = torch.cat([appearance.vertices.colours, appearance.texels.colours], 1)
    return Gaussians(
        centres_m=torch.cat([vertices_m, offsets * sizes + surface], 1),
        factors_m=torch.cat([vertex_axes, texel_axes], 1) * scales[:, :, None],
        colours=torch.cat([colours[..., :3].sigmoid(), colours[..., 3:]], -1),
        opacities=torch.cat([appearance.vertices.opacities, appearance.texels.opacities], 1),
    )


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(-1).clamp(min=_SMALLEST2).sqrt()


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _length(vectors)[..., None]
