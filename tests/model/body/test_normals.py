"""Vertex normals against the renderer's own."""

import numpy as np
import torch

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.normals import VertexNormals
from model.body.parameters import EhmParameters
from model.renderer import raster
from model.rotations import rotvec_to_rotmat

torch.set_num_threads(1)


def test_normals_are_those_of_the_renderer() -> None:
    body = EHMs(load_open_body())
    rng = torch.Generator().manual_seed(0)
    pose = rotvec_to_rotmat(0.3 * torch.randn(2, 21, 3, generator=rng))
    vertices = body(EhmParameters.neutral(body_pose=pose, betas=torch.randn(2, 10, generator=rng))).vertices
    found = VertexNormals(body.faces, vertices.shape[1])(vertices)
    for one, normals in zip(vertices, found, strict=True):
        expected = raster.vertex_normals(one.numpy(), body.faces.numpy())
        # Tiny faces, as at the eyelids, leave float32 few digits of their normal.
        assert np.quantile(np.linalg.norm(normals.numpy() - expected, axis=1), 0.99) < 1e-3
        assert np.linalg.norm(normals.numpy() - expected, axis=1).max() < 0.1


def test_a_vertex_without_faces_has_none() -> None:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]])
    found = VertexNormals(torch.tensor([[0, 1, 2]]), 4)(corners[None])[0]
    assert torch.equal(found, torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]))
