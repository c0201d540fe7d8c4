import numpy as np
import pytest
import torch

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.people import RestShape
from model.renderer.raster import interpolate, rasterise
from tasks.synthetic.frames import render_frames, true_looks

UPPER = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def body():
    return EHMs(load_open_body()).eval()


@pytest.fixture(scope="module")
def rest(body):
    return RestShape.from_assets(body.assets)


def frames_of(body, rest, index=1, count=2):
    return render_frames(index, count, seed=5, size_px=64, crop_shares=UPPER, ehm=body, rest=rest, supersample=1)


def test_frames_of_a_person_differ_in_pose_and_view_and_share_shape_and_colours(body, rest):
    first, second = frames_of(body, rest)
    assert first.focal_px != second.focal_px
    pelvis = [frame.vertices_m.mean(0) for frame in (first, second)]
    assert np.abs((first.vertices_m - pelvis[0]) - (second.vertices_m - pelvis[1])).max() > 0.1
    faces = np.asarray(body.assets.smplx.faces)
    head = faces[(rest.on_head > 0.9)[faces].all(1)]  # moves as one, but for jaw and eyes
    edges = [
        np.linalg.norm(frame.vertices_m[head[:, 0]] - frame.vertices_m[head[:, 1]], axis=1) for frame in (first, second)
    ]
    assert np.median(np.abs(edges[0] - edges[1])) < 3e-4
    hues = [frame.rgb[frame.coverage == 1].mean(0) for frame in (first, second)]
    assert np.abs(hues[0] / hues[0].sum() - hues[1] / hues[1].sum()).max() < 0.1


def test_a_person_is_the_same_whatever_else_is_rendered(body, rest):
    alone, with_more = frames_of(body, rest, count=1)[0], frames_of(body, rest, count=2)[0]
    assert np.array_equal(alone.rgb, with_more.rgb)


def test_a_frame_shows_the_body_of_its_vertices_on_black(body, rest):
    frame = frames_of(body, rest)[0]
    assert not frame.rgb[frame.coverage == 0].any()
    bare = rasterise(
        frame.vertices_m.astype(np.float64), body.faces.numpy(), frame.focal_px, frame.principal_px, (64, 64)
    ).mask
    assert (frame.coverage[bare] > 0).mean() > 0.99  # clothes and hair are outside


def test_true_looks_are_the_light_on_the_surface(body, rest):
    faces = body.faces.numpy()
    face = np.arange(0, len(faces), 7)
    weights = np.full((len(face), 3), 1 / 3)
    looks = true_looks(3, seed=5, face=face, weights=weights, faces=faces, rest=rest)
    np.testing.assert_allclose(np.linalg.norm(looks.normals, axis=1), 1, rtol=1e-5)
    towards_camera = looks.normals[:, 2] < 0
    assert 0.3 < towards_camera.mean() < 0.7
    again = true_looks(3, seed=5, face=face[:10], weights=weights[:10], faces=faces, rest=rest)
    assert np.array_equal(again.surface, looks.surface[:10])
    assert 0 < looks.offset_m.max() < 0.02
    share = looks.lit.sum(1) / np.maximum(looks.surface.astype(float).sum(1), 1)
    flat = torch.from_numpy(looks.normals[looks.surface.sum(1) > 150]).double()
    terms = torch.cat([torch.ones(len(flat), 1), flat, flat**2], 1)
    wanted = torch.from_numpy(share[looks.surface.sum(1) > 150])
    said = terms @ torch.linalg.lstsq(terms, wanted).solution
    assert float((said - wanted).std()) < 0.5 * float(wanted.std())  # the rest is shine, and edges of the light


def test_points_lie_where_they_are_said_to_be(body, rest):
    faces = body.faces.numpy()
    vertices = rest.points_m @ np.diag([1.0, -1.0, -1.0]) + (0, 0, 3.0)
    raster = rasterise(vertices, faces, 80.0, np.full(2, 32.0), (64, 64))
    found = interpolate(raster, faces, vertices)
    weights = raster.bary[raster.mask]
    looks = true_looks(0, seed=5, face=raster.face_id[raster.mask], weights=weights, faces=faces, rest=rest)
    assert looks.surface.shape == found.shape == (raster.mask.sum(), 3)
    assert (looks.normals[:, 2] < 0.2).mean() > 0.98  # what the camera sees looks at it
