"""Clothes and colours: where they belong, the same for the same seed, and possible on bodies without regions."""

import dataclasses

import numpy as np
import pytest

from model.body.assets import load_open_body
from model.renderer.people import RestShape, dress, garment_fields, light_person, paint, sample_appearance
from model.renderer.raster import rasterise

SIZE = (160, 160)


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def rest(assets):
    return RestShape.from_assets(assets)


@pytest.fixture(scope="module")
def scene(assets):
    """The body at rest in front of the camera: vertices (V, 3), faces (F, 3) and its raster."""
    vertices = assets.smplx.v_template.astype(np.float64)
    vertices = (vertices - vertices.mean(0)) * [1, -1, -1] + [0, 0, 3]
    faces = assets.smplx.faces
    return vertices, faces, rasterise(vertices, faces, 220.0, np.array([80.0, 80.0]), SIZE)


@pytest.fixture
def look():
    plain = {"pattern": "plain", "sleeve": 1.0, "trouser_length": 1.5, "hair_length_m": 0.0}
    colours = {"shirt": np.array([250.0, 0, 0]), "trousers": np.array([0, 250.0, 0]), "shoes": np.array([0, 0, 250.0])}
    return dataclasses.replace(sample_appearance(np.random.default_rng(0)), **plain, **colours)


def colour_at(image, scene, rest, look, point_m):
    """Painted colour (3,) of the pixel nearest to where a rest point projects."""
    vertices, _, raster = scene
    nearest = np.linalg.norm(rest.points_m - point_m, axis=1).argmin()
    x, y = 220.0 * vertices[nearest, :2] / vertices[nearest, 2] + 80.0
    rows, columns = np.nonzero(raster.mask)
    return image[np.hypot(columns + 0.5 - x, rows + 0.5 - y).argmin()]


def test_garments_are_where_they_belong(scene, rest, look):
    _, faces, raster = scene
    painted = paint(look, rest, raster, faces)
    joints = rest.joints_m
    front = np.array([0, 0, 0.1])
    assert painted.shape == (raster.mask.sum(), 3)
    shirt = colour_at(painted, scene, rest, look, joints["spine3"] + front)
    trousers = colour_at(painted, scene, rest, look, joints["left_hip"] - [0, 0.1, 0] + front)
    hand = colour_at(painted, scene, rest, look, joints["right_middle1"])
    assert shirt.argmax() == 0
    assert shirt[1] == 0
    assert trousers.argmax() == 1
    assert trousers[0] == 0
    assert np.abs(hand - look.skin).max() < 30


def test_clothes_add_thickness_outwards_and_leave_hands_and_face_alone(assets, rest, look):
    vertices = assets.smplx.v_template.astype(np.float64)
    moved = np.linalg.norm(dress(vertices, assets.smplx.faces, look, rest) - vertices, axis=1)
    fields = garment_fields(look, rest, rest.points_m, rest.on_head, rest.regions["ears"])
    assert moved.max() <= max(look.thickness_m.values()) + 1e-9
    assert moved[fields["shirt"] > 0.03].min() == pytest.approx(look.thickness_m["cloth"])
    hands = rest.points_m[:, 0] ** 2 > rest.joints_m["left_wrist"][0] ** 2
    assert moved[hands].max() == 0
    assert moved[(rest.on_eye > 0.5) | (rest.regions["lips"] > 0.5)].max() == 0


def test_the_eyes_have_a_white_an_iris_and_a_pupil(assets, rest, look):
    vertices = (assets.smplx.v_template.astype(np.float64) - rest.joints_m["left_eye"]) * [1, -1, -1] + [0, 0, 0.4]
    raster = rasterise(vertices, assets.smplx.faces, 1600.0, np.array([80.0, 80.0]), SIZE)
    image = np.zeros((*SIZE, 3))
    image[raster.mask] = paint(look, rest, raster, assets.smplx.faces)
    np.testing.assert_allclose(image[80, 80], [12, 10, 10])
    painted = image.reshape(-1, 3)
    for colour in (look.iris, (236, 234, 230)):
        assert (np.abs(painted - colour).max(1) < 0.5).sum() > 20


def test_the_same_seed_dresses_the_same_person(scene, rest):
    vertices, faces, raster = scene
    first, again, other = (sample_appearance(np.random.default_rng(seed)) for seed in (3, 3, 4))
    draw = [light_person(look, rest, vertices, faces, raster, (0, -1, -1), 0.5) for look in (first, again, other)]
    assert np.array_equal(draw[0], draw[1])
    assert np.abs(draw[0] - draw[2]).max() > 10
    assert draw[0].min() >= 0
    assert draw[0].max() <= 255


def test_a_body_without_regions_and_landmarks_can_still_be_drawn(assets, scene, look):
    vertices, faces, raster = scene
    body = dataclasses.replace(
        assets.smplx, landmark_vertices=np.zeros((0, 3), np.int64), landmark_weights=np.zeros((0, 3), np.float32)
    )
    bare = RestShape.from_assets(dataclasses.replace(assets, smplx=body, regions={}))
    colours = light_person(look, bare, dress(vertices, faces, look, bare), faces, raster, (0, -1, -1), 0.5)
    assert np.isfinite(colours).all()
    assert colours.std() > 10
