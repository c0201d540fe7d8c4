"""Gaussians of posed people: they move as the mesh does."""

import dataclasses

import pytest
import torch
from guava_scene import blended_turns, sheet, uv_of

from model.renderer.guava.gaussians import Appearance, Attributes, Faces, posed
from model.rotations import rotvec_to_rotmat

CHANNELS = 5


def attributes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    quaternions = torch.randn(1, count, 4, generator=generator)
    return Attributes(
        colours=torch.randn(1, count, CHANNELS, generator=generator),
        opacities=torch.rand(1, count, generator=generator),
        scales=0.05 * torch.rand(1, count, 3, generator=generator),
        rotations_wxyz=torch.nn.functional.normalize(quaternions, dim=-1),
    )


@pytest.fixture
def person():
    used = uv_of(16).used
    texels = int(used.sum())
    offsets = torch.randn(1, texels, 3, generator=torch.Generator().manual_seed(5))
    return Appearance(vertices=attributes(35, 3), texels=attributes(texels, 4), offsets=offsets)


def in_pose(person, vertices, turns):
    uv = uv_of(16)
    return posed(person, vertices, turns, sheet()[1], uv.face_ids[uv.used], uv.weights[uv.used])


def covariances(gaussians):
    return gaussians.factors_m @ gaussians.factors_m.mT


def test_a_rigid_motion_moves_all_of_them_rigidly(person):
    vertices, _ = sheet()
    skin = rotvec_to_rotmat(torch.randn(1, 35, 3, generator=torch.Generator().manual_seed(2)))
    turn, shift = rotvec_to_rotmat(torch.tensor([0.4, -0.9, 0.3])), torch.tensor([0.2, -0.1, 0.5])
    before = in_pose(person, vertices, skin)
    after = in_pose(person, vertices @ turn.mT + shift, turn @ skin)
    assert torch.allclose(after.centres_m, before.centres_m @ turn.mT + shift, atol=1e-4)
    assert torch.allclose(covariances(after), turn @ covariances(before) @ turn.mT, atol=1e-7)
    assert torch.equal(after.colours, before.colours)
    assert torch.equal(after.opacities, before.opacities)


def test_a_larger_person_has_larger_texels_and_vertices_as_large_as_before(person):
    vertices, _ = sheet()
    turns = torch.eye(3).expand(1, 35, 3, 3)
    before, after = in_pose(person, vertices, turns), in_pose(person, 2 * vertices, turns)
    assert torch.allclose(after.centres_m, 2 * before.centres_m, atol=1e-4)
    assert torch.allclose(after.factors_m[:, :35], before.factors_m[:, :35], atol=1e-7)
    assert torch.allclose(after.factors_m[:, 35:], 2 * before.factors_m[:, 35:], atol=1e-6)


def test_texels_lie_on_their_faces_when_they_have_no_offset(person):
    vertices, faces = sheet()
    flat = dataclasses.replace(person, offsets=torch.zeros_like(person.offsets))
    uv = uv_of(16)
    found = in_pose(flat, vertices, blended_turns(35)).centres_m[0, 35:]
    place = torch.einsum("tk,tkj->tj", uv.weights[uv.used], vertices[0, faces[uv.face_ids[uv.used]]])
    assert torch.allclose(found, place, atol=1e-5)


def test_axes_of_a_face_are_its_first_edge_its_normal_and_what_completes_them():
    corners = torch.tensor([[[1.0, 1.0, 0.0], [3.0, 1.0, 0.0], [2.0, 5.0, 0.0]]])
    face = Faces.of(corners, torch.tensor([[0, 1, 2]]))
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]).T
    assert torch.allclose(face.axes[0, 0], expected)
    assert float(torch.linalg.det(face.axes[0, 0])) == pytest.approx(1)
    assert float(face.sizes_m[0, 0]) == pytest.approx((2 + 4) / 2)


def test_a_face_without_area_gives_no_value_that_is_not_finite(person):
    vertices, _ = sheet()
    vertices = vertices.clone().requires_grad_()
    squashed = vertices * torch.tensor([0.0, 1.0, 1.0])
    found = in_pose(person, squashed, blended_turns(35))
    (found.centres_m.sum() + found.factors_m.sum()).backward()
    assert vertices.grad is not None
    assert torch.isfinite(vertices.grad).all()


def test_only_the_first_three_channels_are_made_colours(person):
    vertices, _ = sheet()
    found = in_pose(person, vertices, blended_turns(35)).colours
    given = torch.cat([person.vertices.colours, person.texels.colours], 1)
    assert torch.equal(found[..., :3], given[..., :3].sigmoid())
    assert torch.equal(found[..., 3:], given[..., 3:])
