"""The rasteriser against a brute-force ray caster, and its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.renderer.raster import interpolate, project, rasterise, shade, vertex_normals

SIZE = (24, 32)
FOCAL = 30.0
PRINCIPAL = np.array([16.0, 12.0])


def cast_rays(vertices, faces, focal, principal, size_hw, cull_back, near=1e-3):
    """Every ray against every face: depth (H, W), face (H, W), distance of the ray to the nearest edge (H, W)."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    rays = np.stack([(columns - principal[0]) / focal, (rows - principal[1]) / focal, np.ones(size_hw)], axis=-1)
    depth = np.full(size_hw, np.inf)
    face_id = np.full(size_hw, -1)
    margin = np.full(size_hw, np.inf)
    for index, (a, b, c) in enumerate(vertices[faces]):
        turned_away = rays @ np.cross(b - a, c - a) >= 0
        weights = np.linalg.solve(np.stack([a, b, c], axis=1), rays.reshape(-1, 3).T).T.reshape(rays.shape)
        total = weights.sum(-1)  # ray = sum w_i v_i; the hit is ray / sum(w)
        asked = (total > 0) & ~(cull_back & turned_away)
        share = weights / np.where(asked, total, 1.0)[..., None]
        margin = np.where(asked, np.minimum(margin, np.abs(share).min(-1)), margin)
        z = 1.0 / np.where(asked, total, 1.0)
        nearer = asked & (share >= 0).all(-1) & (z >= near) & (z < depth)
        depth[nearer], face_id[nearer] = z[nearer], index
    return depth, face_id, margin


@pytest.mark.parametrize("cull_back", [True, False])
@pytest.mark.parametrize("near_camera", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_ray_casting(seed, cull_back, near_camera):
    rng = np.random.default_rng(seed)
    low = [-1.5, -1.5, -1.0 if near_camera else 0.8]  # near_camera: some corners lie behind the camera
    vertices = rng.uniform(low, [1.5, 1.5, 3.0], (30, 3))
    faces = rng.integers(0, 30, (16, 3))
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    depth, face_id, margin = cast_rays(vertices, faces, FOCAL, PRINCIPAL, SIZE, cull_back)
    found = rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE, cull_back=cull_back)
    clear = margin > 1e-4  # a ray along an edge may fall on either side
    assert np.array_equal(found.face_id[clear], face_id[clear])
    hit = clear & (face_id >= 0)
    np.testing.assert_allclose(found.depth[hit], depth[hit], rtol=1e-5)
    assert hit.any()


def test_weights_give_back_the_point_that_was_hit():
    rng = np.random.default_rng(0)
    vertices = rng.uniform([-1, -1, 1], [1, 1, 3], (9, 3))
    faces = np.arange(9).reshape(3, 3)
    raster = rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE, cull_back=False)
    points = interpolate(raster, faces, vertices)
    rows, columns = np.nonzero(raster.mask)
    np.testing.assert_allclose(project(points, FOCAL, PRINCIPAL), np.stack([columns, rows], 1) + 0.5, atol=1e-4)
    np.testing.assert_allclose(points[:, 2], raster.depth[raster.mask], rtol=1e-5)
    np.testing.assert_allclose(raster.bary[raster.mask].sum(1), 1.0, atol=1e-6)


def quad(x0, x1, y0, y1, z):
    """A rectangle in pixels at depth z, facing the camera: vertices (4, 3), faces (2, 3)."""
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)
    vertices = np.concatenate([(corners - PRINCIPAL) / FOCAL * z, np.full((4, 1), z)], axis=1)
    return vertices, np.array([[0, 2, 1], [0, 3, 2]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.integers(1, 12), st.integers(0, 14), st.integers(1, 10), st.floats(0.1, 50))
def test_a_quad_covers_its_pixels_exactly(x0, width, y0, height, z):
    vertices, faces = quad(x0, x0 + width, y0, y0 + height, z)
    mask = rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE).mask
    expected = np.zeros(SIZE, bool)
    expected[y0 : y0 + height, x0 : x0 + width] = True
    assert np.array_equal(mask, expected)


def test_the_nearer_face_wins_in_either_order():
    near, faces = quad(4, 20, 4, 20, 1.0)
    far, _ = quad(0, 32, 0, 24, 2.0)
    for first, second in ((near, far), (far, near)):
        raster = rasterise(np.concatenate([first, second]), np.concatenate([faces, faces + 4]), FOCAL, PRINCIPAL, SIZE)
        assert raster.depth[10, 10] == pytest.approx(1.0)
        assert raster.depth[1, 1] == pytest.approx(2.0)


def test_faces_seen_from_behind_are_left_out_unless_asked_for():
    vertices, faces = quad(4, 20, 4, 20, 1.0)
    assert not rasterise(vertices, faces[:, ::-1], FOCAL, PRINCIPAL, SIZE).mask.any()
    assert rasterise(vertices, faces[:, ::-1], FOCAL, PRINCIPAL, SIZE, cull_back=False).mask.sum() == 256


def test_a_shared_edge_leaves_no_gap():
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9)), -1).reshape(-1, 2).astype(float)
    inner = (grid > 0).all(1) & (grid < 8).all(1)
    grid[inner] += rng.uniform(-0.35, 0.35, (inner.sum(), 2))
    vertices = np.concatenate([(grid - 4) * 0.5, rng.uniform(2, 2.2, (81, 1))], axis=1)
    cell = np.array(
        [[r * 9 + c for r, c in ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))] for i in range(8) for j in range(8)]
    )
    faces = np.concatenate([cell[:, [0, 1, 2]], cell[:, [0, 2, 3]]])
    mask = rasterise(vertices, faces, 40.0, np.array([64.0, 64.0]), (128, 128), cull_back=False).mask
    assert mask[40:88, 40:88].all()


def test_nothing_is_drawn_outside_or_behind():
    vertices, faces = quad(-60, -40, 4, 20, 1.0)
    assert not rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE).mask.any()
    vertices, faces = quad(4, 20, 4, 20, -1.0)
    assert not rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE, cull_back=False).mask.any()


def test_vertices_project_inside_the_face_that_covers_them():
    rng = np.random.default_rng(3)
    vertices = rng.uniform([-0.3, -0.3, 1], [0.3, 0.3, 1.5], (3, 3))
    raster = rasterise(vertices, np.array([[0, 1, 2]]), 300.0, np.array([128.0, 128.0]), (256, 256), cull_back=False)
    rows, columns = np.nonzero(raster.mask)
    corners = project(vertices, 300.0, np.array([128.0, 128.0]))
    for corner, weight in zip(corners, raster.bary[raster.mask].T, strict=True):
        best = weight.argmax()
        assert np.hypot(columns[best] + 0.5 - corner[0], rows[best] + 0.5 - corner[1]) < 3.0


def test_a_vertex_that_is_not_finite_is_refused():
    vertices, faces = quad(4, 20, 4, 20, 1.0)
    vertices[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE)


def test_a_face_turned_to_the_light_is_brighter():
    vertices, faces = quad(4, 20, 4, 20, 1.0)
    raster = rasterise(vertices, faces, FOCAL, PRINCIPAL, SIZE)
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals, np.tile([0, 0, -1], (4, 1)), atol=1e-9)
    albedo = np.full((raster.mask.sum(), 3), 128.0)
    lit = shade(raster, faces, normals, albedo, light=(0, 0, -1))
    dark = shade(raster, faces, normals, albedo, light=(0, 0, 1))
    assert (lit > dark).all()
    assert lit.max() <= 255


def test_a_large_mesh_covers_its_disc():
    rings, sides = 110, 120
    theta, phi = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rings), np.linspace(0, 2 * np.pi, sides, endpoint=False))
    sphere = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
    index = np.arange(rings * sides).reshape(sides, rings)
    after = np.roll(index, -1, axis=0)
    cells = np.stack([index[:, :-1], after[:, :-1], after[:, 1:], index[:, 1:]], -1).reshape(-1, 4)
    faces = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])
    raster = rasterise(sphere * 0.8 + [0, 0, 3], faces, 700.0, np.array([256.0, 256.0]), (512, 512), cull_back=False)
    assert 90_000 < raster.mask.sum() < 150_000
