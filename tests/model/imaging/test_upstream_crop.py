"""Crops as the official code cuts them: the transform that made them, blur, mirror and borders."""

import cv2
import numpy as np
import pytest

from model.imaging.squares import (
    Square,
    apply_affine,
    crop_affine,
    invert_affine,
)
from model.imaging.upstream_crop import cut


def photo(width=200, height=150, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


SQUARES = [
    Square(centre_px=(90.25, 70.5), side_px=100.0),
    Square(centre_px=(20.0, 140.0), side_px=90.5),
    Square(centre_px=(100.0, 75.0), side_px=600.0),
    Square(centre_px=(90.0, 70.0), side_px=80.0, roll_rad=0.4),
]


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_same_as_warping_the_whole_photo(square, mirrored):
    rgb = photo()
    crop = cut(rgb, square, 64, mirrored=mirrored)
    whole = rgb[:, ::-1].copy() if mirrored else rgb
    mirror = np.array([[-1.0, 0, rgb.shape[1] - 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    affine = (np.vstack([crop.crop_from_image, [0, 0, 1]]) @ mirror)[:2]
    expected = cv2.warpAffine(whole, affine, (64, 64), flags=cv2.INTER_LINEAR)
    assert np.abs(crop.pixels - expected).max() <= 1


@pytest.mark.parametrize("square", SQUARES[:3])
def test_blur_of_the_piece_is_blur_of_the_photo(square):
    rgb = photo()
    size = 16
    sigma = (square.side_px / size / 2 - 1) / 2
    radius = int(4 * sigma + 0.5)
    blurred = cv2.GaussianBlur(rgb.astype(np.float32), (2 * radius + 1,) * 2, sigma, borderType=cv2.BORDER_REPLICATE)
    expected = cv2.warpAffine(blurred, crop_affine(square, size), (size, size), flags=cv2.INTER_LINEAR)
    assert np.allclose(cut(rgb, square, size, antialias=True).pixels, expected, atol=0.02)


def test_blur_starts_at_a_reduction_of_2_2():
    rgb = photo()
    for side, blurs in ((2.19 * 32, False), (2.21 * 32, True)):
        square = Square(centre_px=(90.0, 70.0), side_px=side)
        a, b = (cut(rgb, square, 32, antialias=flag).pixels for flag in (False, True))
        assert (np.abs(a - b).max() > 0) == blurs


@pytest.mark.parametrize("square", [*SQUARES[:3], Square(centre_px=(60.0, 40.0), side_px=500.0)])
@pytest.mark.parametrize("antialias", [False, True])
def test_mirror_image_gives_the_same_crop(square, antialias):
    rgb = photo()
    x, y = square.centre_px
    other = Square(centre_px=(rgb.shape[1] - 1 - x, y), side_px=square.side_px)
    a = cut(rgb, square, 64, antialias=antialias, mirrored=True)
    b = cut(np.ascontiguousarray(rgb[:, ::-1]), other, 64, antialias=antialias)
    assert np.array_equal(a.pixels, b.pixels)


@pytest.mark.parametrize("roll", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_transform_goes_there_and_back(roll, mirrored):
    square = Square(centre_px=(37.0, 81.0), side_px=55.0, roll_rad=roll)
    affine = cut(photo(), square, 128, mirrored=mirrored).crop_from_image
    points = np.random.default_rng(0).uniform(0, 200, (20, 2))
    assert np.allclose(apply_affine(invert_affine(affine), apply_affine(affine, points)), points)
    assert np.allclose(apply_affine(affine, np.array(square.centre_px)), 64)
    assert np.sign(np.linalg.det(affine[:, :2])) == (-1 if mirrored else 1)


def test_marked_pixel_lands_where_the_transform_says():
    rgb = np.zeros((100, 120, 3), np.uint8)
    rgb[40:43, 70:73] = 255
    for mirrored in (False, True):
        crop = cut(rgb, Square(centre_px=(60.0, 50.0), side_px=64.0, roll_rad=0.3), 64, mirrored=mirrored)
        y, x = np.argwhere(crop.pixels[..., 0] > 0).mean(0)
        assert np.allclose(apply_affine(crop.crop_from_image, np.array([71.0, 41.0])), [x, y], atol=0.3)


def test_outside_the_photo_is_black():
    crop = cut(photo(), Square(centre_px=(-500.0, 20.0), side_px=50.0), 32)
    assert crop.pixels.shape == (32, 32, 3)
    assert not crop.pixels.any()
    half = cut(np.full((100, 100, 3), 255, np.uint8), Square(centre_px=(0.0, 50.0), side_px=64.0), 64).pixels
    assert not half[:, :31].any()
    assert (half[:, 33:] == 255).all()
