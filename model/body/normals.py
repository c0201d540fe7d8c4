"""Normals of a posed mesh: with its vertices, what a renderer is given."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VertexNormals(nn.Module):
    """Unit outward normals; faces count by their area.

    Args:
        faces: (F, 3) vertex ids.
        num_vertices: V.
    """

    corners: Tensor
    incident: Tensor
    starts: Tensor

    def __init__(self, faces: Tensor, num_vertices: int) -> None:
        super().__init__()
        flat = faces.flatten()
        counts = torch.bincount(flat, minlength=num_vertices)
        self.register_buffer("corners", faces.T.contiguous(), persistent=False)
        # The faces around each vertex, one vertex after the other: adding them up needs no scattered writes.
        self.register_buffer("incident", torch.argsort(flat, stable=True) // 3, persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)

    def forward(self, vertices: Tensor) -> Tensor:
        """(N, V, 3) -> (N, V, 3); zero for a vertex without faces."""
        first, second, third = (vertices.index_select(1, corner) for corner in self.corners)
        normals = torch.linalg.cross(second - first, third - first)
        rows = normals.transpose(0, 1).flatten(1)
        total = F.embedding_bag(self.incident, rows, self.starts, mode="sum")
        return F.normalize(total.unflatten(1, (-1, 3)), dim=-1).transpose(0, 1).contiguous()
