import cv2
import numpy as np
import pytest
import torch
from splat_scenes import NATIVE
from texture_renderers import SIZE_HW, ball, ball_renderer, camera, looks, placed

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.renderer.raster import project, rasterise
from model.renderer.sites import body_sites, looks_at_camera
from model.renderer.texture.file import RendererMeta, load_renderer, save_renderer
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture


@pytest.fixture(scope="module")
def sphere():
    faces, vertices = ball()
    return faces, placed(vertices), ball_renderer()


def picture_of(renderer, vertices, colours=None):
    colours = renderer.colours(looks(), vertices) if colours is None else colours
    return renderer.draw(vertices, colours, camera(len(vertices)), SIZE_HW)


@pytest.fixture(scope="module")
def face():
    """The open body before the camera, its head in the middle, and a renderer without clothes or hair."""
    assets = load_open_body()
    body = EHMs(assets).eval()
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]  # the camera's y points down
    with torch.no_grad():
        vertices = body(EhmParameters.neutral(1, global_orient=facing)).vertices
    head = vertices[:, torch.from_numpy(assets.head_vertex_ids)].mean(1)
    sites = body_sites(assets)
    number = len(sites)
    texture = Texture(torch.zeros(number, 3), torch.zeros(1, number, 3), torch.zeros(vertices.shape[1]))
    return TextureRenderer(body.faces, sites, texture), vertices - head + torch.tensor([0.0, 0.0, 1.5])


def eye_sites(renderer):
    """(S,) bool."""
    skin = renderer.pieces.bincount().argmax()
    return renderer.pieces[renderer.sites.corners[0]] != skin


def close_up(size_px):
    return Camera(focal_px=torch.tensor([3.75 * size_px]), principal_px=torch.full((1, 2), 0.5 * size_px))


def mesh_of(renderer, vertices, size_px, finer):
    """What a picture so many times finer sees of the mesh itself."""
    side = size_px * finer
    return rasterise(
        vertices[0].numpy(), renderer.normals.corners.T.numpy(), 3.75 * side, np.full(2, side / 2), (side, side)
    )


@pytest.mark.parametrize("size_px", [80, 160, 320])
def test_what_is_drawn_is_closed_and_has_the_outline_of_the_mesh(face, size_px):
    renderer, vertices = face
    alone = torch.zeros(1, len(renderer.sites), 1)
    alpha = renderer.draw(vertices, alone, close_up(size_px), (size_px, size_px)).alpha[0].numpy()
    wanted = mesh_of(renderer, vertices, size_px, 4).mask.reshape(size_px, 4, size_px, 4).mean((1, 3))
    inside = cv2.erode((wanted == 1).astype(np.uint8), np.ones((9, 9))) > 0
    outline_px = np.hypot(*np.gradient(wanted)).sum()
    assert abs((alpha - wanted)[~inside].sum()) / outline_px < 0.15
    assert alpha[inside].mean() > 0.985


def test_an_offset_is_drawn_as_a_larger_body(sphere):
    faces, vertices, renderer = sphere
    _, unit = ball()
    larger = TextureRenderer(
        faces, renderer.sites, Texture(**{**textures(renderer), "offset_m": torch.full((400,), 0.03)})
    )
    torch.testing.assert_close(
        picture_of(larger, vertices).alpha, picture_of(renderer, placed(unit, 0.33)).alpha, atol=0.03, rtol=0
    )


def textures(renderer):
    return dict(renderer.texture.named_buffers())


def test_the_looks_of_a_drawn_person_are_found_in_its_picture(sphere):
    _, vertices, renderer = sphere
    truth = renderer.colours(looks(), vertices)
    drawing = picture_of(renderer, vertices)
    mask = (drawing.alpha > 0.9)[:, None]
    found = renderer.looks(drawing.colour.movedim(-1, 1), mask, vertices, camera())
    assert not found.coefficients.requires_grad
    found = renderer.colours(found, vertices)
    mean = (renderer.texture.mean - truth).abs().mean()
    assert (found - truth).abs().mean() < 0.2 * mean  # of all sites, also those behind


def test_a_person_turned_in_the_light_looks_as_it_would(sphere):
    _, vertices, renderer = sphere
    turned = torch.stack([vertices[..., 0], -vertices[..., 1], 2 * 2.0 - vertices[..., 2]], -1)
    drawing = picture_of(renderer, vertices)
    mask = (drawing.alpha > 0.9)[:, None]
    found = renderer.looks(drawing.colour.movedim(-1, 1), mask, vertices, camera())
    wanted = picture_of(renderer, turned).colour
    given = picture_of(renderer, turned, renderer.colours(found, turned)).colour
    stiff = picture_of(renderer, turned, renderer.colours(found, vertices)).colour
    assert (given - wanted).abs().mean() < 0.4 * (stiff - wanted).abs().mean()


def test_what_another_covers_is_left_out_by_the_mask(sphere):
    _, vertices, renderer = sphere
    drawing = picture_of(renderer, vertices)
    picture = drawing.colour.movedim(-1, 1).clone()
    mask = (drawing.alpha > 0.9)[:, None]
    mask[..., :36] = False
    without = renderer.looks(picture, mask, vertices, camera())
    picture[..., :36] = 1.0
    torch.testing.assert_close(renderer.looks(picture, mask, vertices, camera()), without)


@pytest.mark.parametrize("rasteriser", ["tiles", NATIVE])
def test_sites_are_seen_where_the_rasteriser_of_meshes_sees_them(face, rasteriser):
    renderer, vertices = face
    size_px, finer = 160, 6
    seen = (renderer.seen(vertices, close_up(size_px), (size_px, size_px), rasteriser=rasteriser)[0] > 0).numpy()
    raster = mesh_of(renderer, vertices, size_px, finer)
    points = renderer.sites.at(vertices)[0].numpy()
    side = size_px * finer
    column, row = np.floor(project(points, 3.75 * side, np.full(2, side / 2))).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < side) & (row < side)
    truth = inside.copy()
    truth[inside] = points[inside, 2] < raster.depth[row[inside], column[inside]] + 0.002
    assert seen.sum() > 1000
    assert truth[seen].mean() > 0.95
    squarely = looks_at_camera(*renderer.surface(vertices, close_up(size_px)))[0].numpy() > 0.3
    assert seen[truth & squarely].mean() > 0.95
    eyes = eye_sites(renderer).numpy()
    assert truth[seen & eyes].mean() > 0.95  # and not their lids
    assert seen[truth & squarely & eyes].mean() > 0.75


def test_a_renderer_of_a_file_and_one_of_a_part_see_as_the_whole_does(face):
    renderer, vertices = face
    size_px = 160
    faces, count = renderer.normals.corners.T, vertices.shape[1]
    seen = renderer.seen(vertices, close_up(size_px), (size_px, size_px))
    data = save_renderer(renderer, RendererMeta(body_model={"name": "open"}))
    again, _ = load_renderer(data, faces, count, source="r.safetensors")
    assert torch.equal(again.seen(vertices, close_up(size_px), (size_px, size_px)), seen)
    before = torch.nonzero(renderer.sites.at(vertices)[0, :, 2] < 1.5).squeeze(1)  # the face
    part, ids = renderer.part(before)
    seen_of_part = part.seen(vertices[:, ids], close_up(size_px), (size_px, size_px))
    eyes = eye_sites(part)
    assert eyes.sum() > 100
    torch.testing.assert_close(seen_of_part[:, eyes], seen[:, before][:, eyes])


def test_a_part_is_drawn_as_it_is_within_the_whole(sphere):
    _, vertices, renderer = sphere
    front = renderer.sites.within(vertices[0, :, 2] < 2.05)
    part, ids = renderer.part(front)
    colours = renderer.colours(looks(), vertices)
    whole = picture_of(renderer, vertices)
    alone = part.draw(vertices[:, ids], colours[:, front], camera(), SIZE_HW)
    assert len(ids) < vertices.shape[1]
    torch.testing.assert_close(alone.colour, whole.colour, atol=1e-5, rtol=0)
    assert part.topology == renderer.topology


def test_pictures_have_derivatives_by_the_mesh_that_bring_it_back(sphere):
    _, vertices, renderer = sphere
    colours = renderer.colours(looks(), vertices)
    target = picture_of(renderer, vertices).colour
    shift = torch.tensor([0.01, -0.008, 0.0], requires_grad=True)
    (picture_of(renderer, vertices + shift, colours).colour - target).square().sum().backward()
    assert shift.grad is not None
    assert shift.grad[0] > 0 > shift.grad[1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"picture": torch.zeros(1, 72, 80, 3)}, r"expected pictures \(B, 3, H, W\), got \(1, 72, 80, 3\)"),
        (
            {"mask": torch.ones(1, 1, 36, 40)},
            r"expected a mask \(1, 1, 72, 80\) as the picture has, got \(1, 1, 36, 40\)",
        ),
        ({"vertices": torch.zeros(1, 399, 3)}, r"draws meshes of 400 vertices .* got \(1, 399, 3\): pose the body"),
        ({"vertices": torch.zeros(2, 400, 3)}, "a mesh for each of 1 pictures, got 2"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(sphere, change, sentence):
    _, vertices, renderer = sphere
    given = {"picture": torch.zeros(1, 3, *SIZE_HW), "mask": None, "vertices": vertices, **change}
    with pytest.raises(ValueError, match=sentence):
        renderer.looks(given["picture"], given["mask"], given["vertices"], camera())


def test_a_texture_of_other_sites_is_refused(sphere):
    faces, _, renderer = sphere
    fewer = torch.arange(len(renderer.sites) - 1)
    with pytest.raises(ValueError, match=r"expected a texture of .* sites, got one of"):
        TextureRenderer(faces, renderer.sites.take(fewer), renderer.texture)
    with pytest.raises(ValueError, match="faces name vertex 399, the texture has offsets of 10"):
        TextureRenderer(faces, renderer.sites, Texture(**{**textures(renderer), "offset_m": torch.zeros(10)}))
