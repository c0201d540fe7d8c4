import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.estimators.dwpose import simcc

SIZE = (288, 384)
coordinates = st.floats(-300, 1500)
lengths = st.floats(4, 2000)


@given(coordinates, coordinates, lengths, lengths)
def test_crop_is_the_box_grown_by_a_quarter_then_to_three_by_four(x, y, width, height):
    (centre,), (extent,) = simcc.crop_of_boxes(np.array([[x, y, x + width, y + height]]), SIZE)
    assert centre == pytest.approx([x + width / 2, y + height / 2])
    assert extent[0] / extent[1] == pytest.approx(0.75)
    grown = 1.25 * np.array([width, height])
    assert (extent >= grown - 1e-6).all()
    assert extent == pytest.approx(np.where(extent > grown + 1e-6, extent, grown))
    assert min(abs(extent - grown)) < 1e-6, "one side stays as it was"


@given(coordinates, coordinates, lengths, lengths)
def test_matrix_and_way_back_are_inverse(x, y, width, height):
    centre, extent = simcc.crop_of_boxes(np.array([[x, y, x + width, y + height]]), SIZE)
    matrix = simcc.crop_matrix(centre[0], extent[0], SIZE)
    points = np.random.default_rng(0).uniform(-500, 2000, (1, 20, 2))
    inside = points @ matrix[:, :2].T + matrix[:, 2]
    assert simcc.to_photo(inside, centre, extent, SIZE) == pytest.approx(points, abs=1e-6)


def test_matrix_maps_the_corners_of_the_crop_to_those_of_the_input():
    centre, extent = np.array([210.0, 90.0]), np.array([150.0, 200.0])
    matrix = simcc.crop_matrix(centre, extent, SIZE)
    assert matrix @ [*(centre - extent / 2), 1] == pytest.approx([0, 0])
    assert matrix @ [*(centre + extent / 2), 1] == pytest.approx(SIZE)


def test_matrix_is_the_three_point_affine_without_rotation():
    centre, extent = np.array([210.3, 90.7]), np.array([151.5, 202.0])
    middle = np.array(SIZE) / 2
    source = np.float32([centre, centre - [0, extent[0] / 2], centre - [extent[0] / 2, 0]])
    target = np.float32([middle, middle - [0, SIZE[0] / 2], middle - [SIZE[0] / 2, 0]])
    wanted = cv2.getAffineTransform(source, target)
    assert simcc.crop_matrix(centre, extent, SIZE) == pytest.approx(wanted, abs=1e-3)


def test_crop_is_black_outside_the_photo():
    photo = np.full((40, 40, 3), 200, np.uint8)
    centre, extent = simcc.crop_of_boxes(np.array([[-20.0, 0, 20, 40]]), SIZE)
    piece = simcc.crop(photo, centre[0], extent[0], SIZE)
    assert (piece[:, 0] == 0).all()
    assert (piece[192, 200] == 200).all()


def test_input_is_standardised_a_channel():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    out = simcc.normalised(pixels)
    assert out.shape == (3, 8, 6)
    assert out.dtype == np.float32
    for channel, (mean, std) in enumerate(((123.675, 58.395), (116.28, 57.12), (103.53, 57.375))):
        assert out[channel] == pytest.approx((pixels[..., channel].astype(float) - mean) / std, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_decoding_agrees_with_a_loop(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(-1, 1, (2, 5, 16)), rng.normal(-1, 1, (2, 5, 24))
    x[0, 0] = -1
    points, raw = simcc.decode(x, y, (8, 12))
    for person in range(2):
        for k in range(5):
            best_x, best_y = (max(range(len(p)), key=p.__getitem__) for p in (x[person, k], y[person, k]))
            score = min(x[person, k, best_x], y[person, k, best_y])
            assert raw[person, k] == score
            if score > 0:
                assert points[person, k] == pytest.approx([best_x / 2, best_y / 2])
            else:
                assert np.isnan(points[person, k]).all()


@given(coordinates, coordinates, lengths, lengths, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_point_comes_back_within_half_an_answer_step(x, y, width, height, at_x, at_y):
    centre, extent = simcc.crop_of_boxes(np.array([[x, y, x + width, y + height]]), SIZE)
    truth = centre[0] + (np.array([at_x, at_y]) - 0.5) * extent[0]
    place = np.array([at_x, at_y]) * SIZE * 2
    profiles = [
        np.exp(-0.5 * ((np.arange(2 * side) - p) / 6) ** 2)[None, None] for side, p in zip(SIZE, place, strict=True)
    ]
    points, _ = simcc.decode(*profiles, SIZE)
    step = extent[0, 1] / 768
    # The last bin is half a pixel before the edge, so a place beyond it is off by up to a whole step.
    assert np.abs(simcc.to_photo(points, centre, extent, SIZE)[0, 0] - truth).max() <= step + 1e-6
