"""Pictures for people: everything lands where it should, left is blue, right is orange."""

import cv2
import numpy as np
import pytest
import torch

from datasets_manifest.sources.images import decode_image
from model.body.assets import load_open_body
from model.body.skeleton import BODY_GROUPS, KEYPOINT_NAMES
from model.imaging.lenses import Lens
from model.renderer.overlay import (
    BACKDROP_RGB,
    LEFT_RGB,
    REFUSED_RGB,
    RIGHT_RGB,
    View,
    draw_keypoints,
    draw_mesh,
    encode_jpeg,
    encode_png,
    person_photo,
    person_sheet,
    side_colours,
    side_view,
    vertex_limbs,
    vertex_parts,
)


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def standing(assets):
    """A person who faces the camera: vertices (V, 3), faces (F, 3)."""
    vertices = assets.smplx.v_template.astype(np.float64)
    return (vertices - vertices.mean(0)) * [1, -1, -1] + [0, 0, 3], assets.smplx.faces


def centre_of(image, colour):
    """Mean (x, y) of the pixels near a colour, in corner-based pixels."""
    rows, columns = np.nonzero((np.abs(image.astype(int) - colour).max(-1)) < 40)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


@pytest.mark.parametrize("size", [(60, 90), (900, 1400), (301, 77)])
@pytest.mark.parametrize("tile", [64, 255])
def test_a_view_cuts_the_photo_where_it_puts_points(size, tile):
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    photo = np.stack([columns * 255.0 / width, rows * 255.0 / height, np.zeros(size)], -1).astype(np.uint8)
    box = np.array([0.2 * width, 0.3 * height, 0.9 * width, 0.8 * height])
    view = View.around(box, tile)
    cut = view.cut(photo)
    assert cut.shape == (tile, tile, 3)
    point = np.array([0.5 * width, 0.5 * height])
    x, y = view.apply(point)
    pixel = cut[int(y), int(x)]
    assert abs(int(pixel[0]) - 127) <= 4 + 255 / view.scale / width
    assert abs(int(pixel[1]) - 127) <= 4 + 255 / view.scale / height


def test_a_view_over_the_edge_is_padded():
    photo = np.zeros((50, 50, 3), np.uint8)
    cut = View.around(np.array([-40, -40, 10, 10]), 64).cut(photo)
    assert tuple(cut[2, 2]) == BACKDROP_RGB
    assert tuple(cut[60, 60]) == (0, 0, 0)


def test_a_keypoint_is_drawn_at_its_place_in_the_colour_of_its_side():
    blank = np.zeros((100, 100, 3), np.uint8)
    for name, colour in (("left_knee", LEFT_RGB), ("right_knee", RIGHT_RGB)):
        keypoints = np.zeros((133, 3))
        keypoints[KEYPOINT_NAMES.index(name)] = (30.5, 70.5, 1.0)
        image = draw_keypoints(blank, keypoints, thickness=3)
        np.testing.assert_allclose(centre_of(image, colour), [30.5, 70.5], atol=0.3)
    assert not blank.any()


def test_points_that_are_not_seen_are_not_drawn():
    keypoints = np.full((133, 3), np.nan)
    keypoints[5] = (50, 50, 0.0)
    keypoints[6] = (1e9, -1e9, 1.0)
    assert not draw_keypoints(np.zeros((64, 64, 3), np.uint8), keypoints).any()


def test_a_person_who_faces_the_camera_has_the_left_arm_on_the_right(assets, standing):
    vertices, faces = standing
    white = np.full((128, 128, 3), 255, np.uint8)
    image = draw_mesh(
        white, vertices, faces, 180.0, np.array([64.0, 64.0]), colours=side_colours(assets), alpha=1.0
    ).astype(int)
    blueness = image[..., 2] - image[..., 0]
    assert (blueness[:, 80:] > 60).sum() > 100
    assert (blueness[:, :48] < -60).sum() > 100
    assert not (blueness[:, :60] > 60).any()


def test_alpha_mixes_mesh_and_photo(standing):
    vertices, faces = standing
    black = np.zeros((64, 64, 3), np.uint8)
    args = (vertices, faces, 90.0, np.array([32.0, 32.0]))
    solid, half = (draw_mesh(black, *args, alpha=a).astype(int) for a in (1.0, 0.5))
    assert np.abs(solid - 2 * half).max() <= 2
    assert np.array_equal(draw_mesh(black, *args, alpha=0.0), black)


def test_seen_from_the_side_the_nose_points_to_the_camera_on_the_right(standing):
    vertices, faces = standing
    image = side_view(vertices, faces, 200)
    rows, columns = np.nonzero((image != BACKDROP_RGB).any(-1))
    top = rows.min()
    face = rows < top + 25
    feet = rows > rows.max() - 6
    assert columns[feet].max() > columns[face].mean() + 4  # toes point to the right as well
    head, neck = (rows == top + 14), (rows == top + 32)
    assert columns[head].max() > columns[neck].max()


def test_every_vertex_is_of_the_part_that_it_lies_in(assets):
    parts, vertices = vertex_parts(assets), assets.smplx.v_template
    assert vertices[parts == 1, 0].min() > 0.3  # the left hand, arms stretched out
    assert vertices[parts == 2, 0].max() < -0.3
    assert vertices[parts == 3, 1].min() > vertices[parts == 0, 1].max() - 0.12
    assert {0, 1, 2, 3} == set(parts.tolist())


def test_every_vertex_is_of_the_limb_that_it_lies_in(assets):
    limbs, vertices, parts = vertex_limbs(assets), assets.smplx.v_template, vertex_parts(assets)
    places = dict(zip(BODY_GROUPS, range(6), strict=True))
    assert vertices[limbs == places["left_arm"], 0].min() > 0.1
    assert vertices[limbs == places["right_arm"], 0].max() < -0.1
    assert vertices[limbs == places["left_leg"], 0].min() > -0.05
    legs = np.isin(limbs, [places["left_leg"], places["right_leg"]])
    assert vertices[legs, 1].max() < vertices[limbs == places["torso"], 1].mean()
    assert (limbs[parts == 1] == places["left_arm"]).all()
    assert (limbs[parts == 3] == places["head"]).mean() > 0.99


def test_refused_parts_are_only_hatched(assets, standing):
    vertices, faces = standing
    white = np.full((160, 160, 3), 255, np.uint8)
    args = (vertices, faces, 180.0, np.array([80.0, 80.0]))
    whole = draw_mesh(white, *args, alpha=1.0)
    hatched = draw_mesh(white, *args, alpha=1.0, refused=vertex_parts(assets) != 3)
    changed = (whole != hatched).any(-1)
    rows = np.nonzero(changed)[0]
    head = np.nonzero((whole != 255).any(-1))[0].min()
    assert not changed[head : head + 8].any()  # the head is drawn as it was
    bare = (hatched == 255).all(-1) & (whole != 255).any(-1)
    red = (np.abs(hatched.astype(int) - REFUSED_RGB).max(-1) < 3).sum()
    assert 0.3 < bare[rows.min() : rows.max()].sum() / changed.sum() < 0.8
    assert red > 0.1 * changed.sum()


def test_a_sheet_shows_photo_overlay_and_side_view(assets, standing):
    vertices, faces = standing
    photo = np.full((120, 160, 3), 90, np.uint8)
    box = np.array([40, 20, 120, 110])
    keypoints = np.zeros((133, 3))
    keypoints[:17] = (80, 60, 0.9)
    args = (faces, 200.0, np.array([80.0, 60.0]))
    sheet = person_sheet(photo, box, keypoints, vertices, *args, colours=side_colours(assets), tile_px=96)
    assert sheet.shape == (96, 288, 3)
    assert (sheet[:, 96:192] != sheet[:, :96]).any()
    assert (sheet[:, 192:] != BACKDROP_RGB).any()
    assert np.array_equal(sheet[:, :96], person_photo(photo, box, keypoints, 96))


def test_encoded_pictures_come_back_in_the_same_colours():
    picture = np.zeros((16, 24, 3), np.uint8)
    picture[:] = (200, 100, 20)
    assert np.array_equal(decode_image(encode_png(picture), name="png"), picture)
    assert np.abs(decode_image(encode_jpeg(picture), name="jpeg").astype(int) - picture).max() < 8
    assert cv2.imdecode(np.frombuffer(encode_png(picture), np.uint8), 1)[0, 0].tolist() == [20, 100, 200]


def test_a_mesh_is_drawn_where_the_lens_of_the_photo_shows_it(standing):
    vertices, faces = standing
    vertices = 0.3 * (vertices - [0, 0, 3]) + [1.3, 0.8, 3]
    photo, box = np.zeros((400, 400, 3), np.uint8), np.array([0.0, 0, 400, 400])
    lens = Lens(focal_px=(420.0, 380.0), principal_px=(200.0, 200.0), coefficients=(-0.4, 0.1, 0.0, 0.0))
    focal = lens.pinhole_focal_px
    view = View.around(box, 400)
    sheets = [
        person_sheet(photo, box, None, vertices, faces, focal, np.full(2, 200.0), lens=own, tile_px=400)
        for own in (lens, None)
    ]
    rays = torch.from_numpy(vertices[:, :2] / vertices[:, 2:])
    for sheet, shown in zip(sheets, (lens.to_pixels(rays), rays * focal + 200), strict=True):
        rows, columns = np.nonzero((sheet[:, 400:800] != sheet[:, :400]).any(-1))
        expected = view.apply(np.array([shown.numpy().min(0), shown.numpy().max(0)]))
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(found, expected.ravel(), atol=2)
    assert np.array_equal(sheets[0][:, 800:], sheets[1][:, 800:])
