"""Sites: points of a mesh that carry one flat Gaussian each, whatever body the mesh is of.

Letters: B pictures, V vertices, F faces, S sites, C channels.
"""

import hashlib

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from model.body.assets import EhmAssets
from model.body.skeleton import SMPLX_EYES

FINE_M = 0.007
"""Distance of sites on heads and hands at rest; where faces are smaller, each has one."""
EYE_M = 0.0025
"""On the eyes: an iris is 12 mm across."""
COARSE_M = 0.02
"""Elsewhere."""
SPREAD = 0.43
"""Standard deviation in the plane of the face, in edges of an equilateral piece."""
_MEDIAN = 2.0 / 3.0**0.5
"""Edge of an equilateral triangle, in its medians."""


class Sites(nn.Module):
    """Where Gaussians lie on a mesh, each in the middle of its own piece of a face.

    Args:
        face: (S,) on which face each site lies.
        weights: (S, 3) its place there, barycentric.
        size: (S,) edges of its piece, in edges of the face.
        corners: (S, 3) vertex ids of the face, counter-clockwise seen from outside.
    """

    face: Tensor
    weights: Tensor
    size: Tensor
    corners: Tensor

    def __init__(self, face: Tensor, weights: Tensor, size: Tensor, corners: Tensor) -> None:
        super().__init__()
        self.register_buffer("face", face)
        self.register_buffer("weights", weights)
        self.register_buffer("size", size)
        self.register_buffer("corners", corners.T.contiguous(), persistent=False)

    @classmethod
    def spread(cls, faces: Tensor, vertices_m: Tensor, spacing_m: Tensor) -> "Sites":
        """Sites about as far from each other as asked, and at least one a face.

        Args:
            faces: (F, 3).
            vertices_m: (V, 3) at rest.
            spacing_m: (F,) longest edge of a piece, metres; inf is one site for the face, 0 is none.
        """
        corners = vertices_m[faces]
        edges = (corners - corners.roll(1, dims=1)).norm(dim=-1).mean(1)
        pieces = torch.where(spacing_m > 0, torch.round(edges / spacing_m).clamp(min=1), 0).long()
        found = []
        for along in sorted(set(pieces.tolist()) - {0}):
            face = torch.nonzero(pieces == along).squeeze(1)
            middles = _middles(along).to(vertices_m)
            found.append((face.repeat_interleave(len(middles)), middles.repeat(len(face), 1), along))
        face = torch.cat([ids for ids, _, _ in found])
        order = torch.argsort(face, stable=True)
        weights = torch.cat([place for _, place, _ in found])[order]
        size = torch.cat([torch.full((len(ids),), 1.0 / along) for ids, _, along in found]).to(vertices_m)[order]
        face = face[order]
        return cls(face, weights, size, faces[face])

    def __len__(self) -> int:
        """S."""
        return len(self.face)

    def at(self, values: Tensor) -> Tensor:
        """Values of the vertices (B, V, C) -> of the sites (B, S, C)."""
        corners = (values.index_select(1, corner) for corner in self.corners)
        return _mix(corners, self.weights)

    def surface(self, vertices_m: Tensor) -> tuple[Tensor, Tensor]:
        """Centres (B, S, 3) and factors (B, S, 3, 2) of flat Gaussians on a mesh (B, V, 3)."""
        a, b, c = (vertices_m.index_select(1, corner) for corner in self.corners)
        # Shape and turn of the piece: the two axes give the covariance of any triangle, not only an equilateral one.
        axes = torch.stack([b - a, _MEDIAN * (c - 0.5 * (a + b))], -1)
        return _mix((a, b, c), self.weights), (SPREAD * self.size)[:, None, None] * axes

    def within(self, vertices: Tensor) -> Tensor:
        """(V,) true for some vertices -> ids (N,) of the sites whose three corners are among them."""
        return torch.nonzero(vertices[self.corners].all(0)).squeeze(1)

    def take(self, ids: Tensor) -> "Sites":
        """Some of the sites (N,), on the same mesh."""
        return Sites(self.face[ids], self.weights[ids], self.size[ids], self.corners.T[ids])


def body_sites(assets: EhmAssets) -> Sites:
    """Sites on a body, closer to each other on its head and hands, closest on its eyes."""
    body = assets.smplx
    is_fine = np.zeros(body.num_vertices, bool)
    for ids in (assets.head_vertex_ids, *assets.hand_vertex_ids.values()):
        is_fine[ids] = True
    on_eye = body.skin_weights[:, SMPLX_EYES].sum(1) > 0.5
    spacing_m = np.where(is_fine[body.faces].all(1), FINE_M, COARSE_M)
    spacing_m = np.where(on_eye[body.faces].all(1), EYE_M, spacing_m).astype(np.float32)
    return Sites.spread(*map(torch.from_numpy, (body.faces.copy(), body.v_template.copy(), spacing_m)))


def topology(faces: Tensor, num_vertices: int) -> str:
    """Hash of which vertices make which faces: what a mesh must share with another to wear its texture."""
    ids = faces.cpu().numpy().astype("<i8").tobytes()
    return hashlib.sha256(num_vertices.to_bytes(8, "little") + ids).hexdigest()


def pieces(faces: Tensor, num_vertices: int) -> Tensor:
    """Which connected piece of a mesh (F, 3) each vertex is of: (V,), numbered from 0."""
    along = faces.cpu().numpy()
    edges = coo_array((np.ones(2 * len(along)), (along[:, :2].T.ravel(), along[:, 1:].T.ravel())), 2 * (num_vertices,))
    return torch.from_numpy(connected_components(edges, directed=False)[1]).long().to(faces.device)


def looks_at_camera(centres_m: Tensor, factors_m: Tensor) -> Tensor:
    """Cosine (B, S) between the outward normal of each site and the way to the camera; negative from behind."""
    normals = torch.linalg.cross(factors_m[..., 0], factors_m[..., 1])
    lengths = normals.norm(dim=-1) * centres_m.norm(dim=-1)
    return -(normals * centres_m).sum(-1) / lengths.clamp(min=1e-20)


def _mix(corners, weights: Tensor) -> Tensor:
    """Three (B, S, C), (S, 3) -> (B, S, C)."""
    a, b, c = corners
    return a * weights[:, :1] + b * weights[:, 1:2] + c * weights[:, 2:]


def _middles(along: int) -> Tensor:
    """Barycentric middles (along^2, 3) of the equal pieces of a triangle."""
    middles = []
    for i in range(along):
        for j in range(along - i):
            middles.append(((i + 1 / 3) / along, (j + 1 / 3) / along))
            if i + j < along - 1:
                middles.append(((i + 2 / 3) / along, (j + 2 / 3) / along))
    second, third = torch.tensor(middles, dtype=torch.float64).T
    return torch.stack([1.0 - second - third, second, third], 1)
