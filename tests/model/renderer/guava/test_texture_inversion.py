"""A picture laid into a texture: by hand, and what is hidden stays empty."""

import pytest
import torch
from guava_scene import TINY, camera_of, sheet, uv_of

from model.renderer.guava.texture_inversion import UvMap, inverted, visible_faces


def coordinates(side):
    """(1, 2, H, W): of each pixel its x and its y, in pixels."""
    centre = torch.arange(side) + 0.5
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    return torch.stack([x, y])[None]


def test_a_texel_is_given_what_lies_where_its_place_is_seen():
    vertices, faces = sheet()
    camera, uv = camera_of(), uv_of(TINY.uv_px)
    texture = inverted(coordinates(TINY.image_px), vertices, faces, uv, camera)
    for row, column in ((1, 1), (3, 7), (8, 4), (14, 14)):
        corners = vertices[0, faces[uv.face_ids[row, column]]]
        x, y, z = (uv.weights[row, column] @ corners).tolist()
        expected = torch.tensor([x, y]) / z * TINY.focal_px + TINY.image_px / 2
        assert torch.allclose(texture[0, :, row, column], expected, atol=1e-3)


def test_texels_beside_the_mesh_are_empty():
    vertices, faces = sheet()
    uv = uv_of(TINY.uv_px)
    texture = inverted(1 + coordinates(TINY.image_px), vertices, faces, uv, camera_of())
    assert torch.equal((texture[0] > 0).all(0), uv.used)


def test_what_lies_outside_the_picture_is_black():
    vertices, faces = sheet()
    aside = vertices + torch.tensor([0.9, 0.0, 0.0])
    texture = inverted(torch.ones(1, 1, 32, 32), aside, faces, uv_of(TINY.uv_px), camera_of())
    assert texture[0, 0, 8, 2] == 1
    assert texture[0, 0, 8, -2] == 0


def test_faces_behind_others_are_not_seen_and_the_back_of_a_face_is():
    front, faces = sheet()
    both = torch.cat([front, front + torch.tensor([0.0, 0.0, 1.0])], 1)
    all_faces = torch.cat([faces, faces + front.shape[1]])
    for order in (all_faces, all_faces.flip(1)):
        seen = visible_faces(both, order, camera_of(), TINY.image_px)
        assert seen[0, : len(faces)].all()
        assert not seen[0, len(faces) :].all()


def test_a_face_is_seen_or_not_as_a_whole():
    vertices, faces = sheet()
    uv, seen = uv_of(TINY.uv_px), torch.ones(1, len(faces), dtype=torch.bool)
    seen[0, 7] = False
    texture = inverted(1 + coordinates(TINY.image_px), vertices, faces, uv, camera_of(), seen)
    assert torch.equal((texture[0] > 0).all(0), uv.used & (uv.face_ids != 7))


def test_each_picture_of_a_batch_has_its_own_person():
    vertices, faces = sheet()
    moved = vertices + torch.tensor([0.05, -0.1, 0.5])
    uv, maps = uv_of(TINY.uv_px), coordinates(TINY.image_px)
    together = inverted(maps.expand(2, -1, -1, -1), torch.cat([vertices, moved]), faces, uv, camera_of(batch=2))
    for picture, person in enumerate((vertices, moved)):
        assert torch.equal(together[picture], inverted(maps, person, faces, uv, camera_of())[0])


def test_derivatives_reach_the_picture():
    vertices, faces = sheet()
    maps = coordinates(TINY.image_px).requires_grad_()
    inverted(maps, vertices, faces, uv_of(TINY.uv_px), camera_of()).sum().backward()
    assert maps.grad is not None
    assert float(maps.grad.abs().max()) > 0


def test_a_map_of_other_shapes_is_told():
    uv = uv_of(TINY.uv_px)
    with pytest.raises(ValueError, match=r"weights \(S, S, 3\), got \(16, 16\) and \(16, 16, 2\)"):
        UvMap(face_ids=uv.face_ids, weights=uv.weights[..., :2])
