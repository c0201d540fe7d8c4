"""A reduced decode shows the same picture, where it says, and is as strict as a whole one."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets_manifest.error_codes import ErrorCode
from datasets_manifest.images import ImageError, decode_image, decode_reduced


def ramp(height, width):
    """Red grows with x and green with y: a colour says where it is."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 128)], -1).round().astype(np.uint8)


def encode(rgb, fmt="JPEG", orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format=fmt, exif=exif.tobytes(), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_positions_of_a_reduced_jpeg_are_where_it_says(orientation, reduction):
    height, width = 203, 261
    data = encode(ramp(height, width), orientation=orientation, quality=98, subsampling=0)
    whole, small = decode_image(data, name="x"), decode_reduced(data, name="x", reduction=reduction)
    assert small.reduction == reduction
    assert small.size_px == (whole.shape[1], whole.shape[0])
    points = np.array([[40.0, 60.0], [100.0, 90.0], [150.0, 160.0]])
    for point in points:
        x, y = point / reduction + small.offset_px
        column, row = int(x), int(y)
        # The value at the pixel's centre, compared with the whole photo at the place that the pixel stands for.
        back_x, back_y = (np.array([column + 0.5, row + 0.5]) - small.offset_px) * reduction
        expected = whole[round(back_y - 0.5), round(back_x - 0.5)].astype(float)
        assert np.abs(small.rgb[row, column].astype(float) - expected).max() <= 4


def test_reduction_1_is_the_whole_image():
    data = encode(ramp(37, 53))
    small = decode_reduced(data, name="x", reduction=1)
    np.testing.assert_array_equal(small.rgb, decode_image(data, name="x"))
    assert (small.reduction, small.offset_px, small.size_px) == (1, (0.0, 0.0), (53, 37))


def test_a_png_is_decoded_whole():
    data = encode(ramp(64, 48), fmt="PNG")
    small = decode_reduced(data, name="x", reduction=4)
    assert small.reduction == 1
    np.testing.assert_array_equal(small.rgb, ramp(64, 48))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_are_reduced_too(mode):
    buffer = io.BytesIO()
    Image.fromarray(ramp(160, 128)).convert(mode).save(buffer, format="JPEG", quality=95)
    small = decode_reduced(buffer.getvalue(), name="x", reduction=2)
    assert small.rgb.shape == (80, 64, 3)
    whole = decode_image(buffer.getvalue(), name="x").astype(float)
    means = whole.reshape(80, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(small.rgb - means).mean() < 2


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_at_every_reduction(progressive):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    data = encode(noise, progressive=progressive)
    for share in (0.3, 0.6, 0.95):
        for reduction in (1, 2, 4, 8):
            with pytest.raises(ImageError) as error:
                decode_reduced(data[: int(share * len(data))], name="cut.jpg", reduction=reduction)
            assert error.value.code == ErrorCode.IMAGE_CORRUPT


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (7, 9), (15, 15)])
def test_tiny_images_are_reduced_less(width, height):
    small = decode_reduced(encode(ramp(height, width)), name="x", reduction=8)
    assert min(small.rgb.shape[:2]) >= 1
    assert small.rgb.shape[:2] == (-(-height // small.reduction), -(-width // small.reduction))


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match="expected 1, 2, 4 or 8, got 3"):
        decode_reduced(encode(ramp(8, 8)), name="x", reduction=3)
