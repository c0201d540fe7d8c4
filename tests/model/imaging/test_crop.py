"""A crop shows what its transform says, to a fraction of a pixel, however much it shrinks the photo."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from datasets_manifest.sources.images import decode_reduced
from model.imaging.crop import crop_square, crop_transform, cut_crop, decode_reduction, keypoints_in_crop
from model.imaging.squares import Square, apply_affine, invert_affine

SLOPE = 0.37
"""Levels a px."""
SQUARES = [
    Square(centre_px=(210.3, 160.8), side_px=40.0),
    Square(centre_px=(210.3, 160.8), side_px=100.0, roll_rad=0.6),
    Square(centre_px=(200.0, 150.0), side_px=200.0, roll_rad=-1.1),
]


def ramp(height=301, width=401):
    """Red is x and green is y, times SLOPE, at the centres of the pixels."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x * SLOPE, y * SLOPE, np.full_like(x, 50)], -1).round().astype(np.uint8)


def positions(crop):
    """Where in the photo each pixel of a crop of the ramp comes from (C, C, 2)."""
    return crop[..., :2].astype(float) / SLOPE


def pixel_centres(size):
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    return np.stack([x, y], -1)


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [16, 64])
def test_pixels_come_from_where_the_transform_says(square, mirrored, size):
    affine = crop_transform(square, size, mirrored=mirrored)
    # Rounding to whole levels pulls a falling ramp the other way than a rising one.
    found = (positions(cut_crop(ramp(), affine, size)) + positions(255 - cut_crop(255 - ramp(), affine, size))) / 2
    expected = apply_affine(invert_affine(affine), pixel_centres(size))
    # Three roundings add up to one level and a half.
    assert np.abs(found - expected).max() < 1.6 / SLOPE
    assert np.abs((found - expected).mean((0, 1))).max() < 0.25


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_a_reduced_photo_gives_the_same_crop(square, reduction):
    buffer = io.BytesIO()
    Image.fromarray(ramp()).save(buffer, format="JPEG", quality=100, subsampling=0)
    photo = decode_reduced(buffer.getvalue(), name="x", reduction=reduction)
    affine = crop_transform(square, 16)
    crop = cut_crop(photo.rgb, affine, 16, reduction=photo.reduction, offset_px=photo.offset_px)
    assert np.abs(positions(crop) - apply_affine(invert_affine(affine), pixel_centres(16))).mean() < 1.4


def test_linear_interpolation_where_the_photo_is_not_shrunk():
    rgb = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    affine = crop_transform(Square(centre_px=(24.2, 19.7), side_px=20.0, roll_rad=0.4), 24)
    crop = cut_crop(rgb, affine, 24).astype(float)
    points = apply_affine(invert_affine(affine), pixel_centres(24)) - 0.5
    low = np.floor(points).astype(int)
    share = points - low
    expected = sum(
        rgb[low[..., 1] + dy, low[..., 0] + dx].astype(float)
        * (np.abs(1 - dx - share[..., 0]) * np.abs(1 - dy - share[..., 1]))[..., None]
        for dx in (0, 1)
        for dy in (0, 1)
    )
    # warpAffine rounds positions to 1/32 px; one such step of noise is up to 8 levels.
    assert np.abs(crop - expected).mean() < 2.5


def test_fine_texture_does_not_alias():
    checks = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    rgb = np.repeat(checks[..., None], 3, 2)
    crop = cut_crop(rgb, crop_transform(Square(centre_px=(256.0, 256.0), side_px=340.0, roll_rad=0.3), 64), 64)
    assert np.abs(crop.astype(float) - 127.5).max() < 3


def test_outside_the_photo_is_black():
    rgb = np.full((60, 80, 3), 200, np.uint8)
    affine = crop_transform(Square(centre_px=(0.0, 0.0), side_px=40.0), 32)
    crop = cut_crop(rgb, affine, 32)
    assert (crop[:15] == 0).all()
    assert (crop[:, :15] == 0).all()
    assert (crop[18:, 18:] == 200).all()
    far = crop_transform(Square(centre_px=(900.0, 900.0), side_px=40.0), 32)
    assert (cut_crop(rgb, far, 32) == 0).all()


def test_a_keypoint_is_on_what_it_marks():
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[118:122, 78:82] = 255  # a square around (80, 120)
    affine = crop_transform(Square(centre_px=(90.0, 110.0), side_px=64.0, roll_rad=0.5), 64, mirrored=True)
    crop = cut_crop(rgb, affine, 64).astype(float).sum(-1)
    centre = (pixel_centres(64) * crop[..., None]).sum((0, 1)) / crop.sum()
    keypoint = keypoints_in_crop(np.array([[80.0, 120.0, 0.7]]), affine, 64)[0]
    np.testing.assert_allclose((keypoint[:2] + 0.5) * 64, centre, atol=0.15)
    assert keypoint[2] == pytest.approx(0.7)


def test_points_that_are_not_there_are_zero():
    points = np.array([[np.nan, 1, 1], [5, 5, 0], [np.inf, 0, 0.5], [5, 5, 0.5]])
    found = keypoints_in_crop(points, crop_transform(Square(centre_px=(5.0, 5.0), side_px=10.0), 10), 10)
    assert (found[:3] == 0).all()
    np.testing.assert_allclose(found[3], [0, 0, 0.5], atol=1e-6)


def test_the_square_holds_the_box_in_the_columns_that_are_read():
    tall, wide = crop_square(np.array([10, 20, 60, 220])), crop_square(np.array([10, 20, 210, 70]))
    assert tall.side_px == pytest.approx(1.2 * 200)
    assert wide.side_px == pytest.approx(1.2 * 200 * 4 / 3)
    assert tall.centre_px == (35, 120)


@pytest.mark.parametrize(("side", "expected"), [(100, 1), (255, 1), (256, 1), (512, 2), (1023, 2), (1024, 4), (9e3, 8)])
def test_a_photo_is_never_decoded_coarser_than_its_crop(side, expected):
    assert decode_reduction(Square(centre_px=(0.0, 0.0), side_px=float(side)), 256) == expected
    assert math.log2(expected).is_integer()
