"""A reduced decode shows the same picture, where it says, and is as strict as a whole one."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, decode_image, decode_reduced


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


KINDS = {
    "baseline": {"quality": 90},
    "coarse": {"quality": 30},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "4:2:2": {"quality": 80, "subsampling": 1},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 60, "restart_marker_blocks": 3},
    "own codes": {"quality": 75, "optimize": True},
    "stored as RGB": {"quality": 90, "keep_rgb": True},
}


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCCK"])
@pytest.mark.parametrize("kind", KINDS)
def test_jpegs_have_pillows_pixels(kind, mode, reduction):
    options = {k: v for k, v in KINDS[kind].items() if mode == "RGB" or k not in ("subsampling", "keep_rgb")}
    noise = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(noise).resize((321, 203)).convert("CMYK" if mode == "YCCK" else mode)
    image.save(buffer, format="JPEG", **options)
    data = buffer.getvalue()
    if mode == "YCCK":  # The last byte of Adobe's segment says how the four channels are meant.
        data = data.replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\x02")
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (321 // reduction, 203 // reduction))
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode_reduced(data, name="x", reduction=reduction).rgb, expected)


def test_the_first_picture_of_a_file_of_several_is_read():
    first, second = (Image.fromarray(rgb) for rgb in (ramp(64, 80), ramp(80, 64)))
    buffer = io.BytesIO()
    first.save(buffer, format="MPO", save_all=True, append_images=[second], quality=90)
    np.testing.assert_array_equal(
        decode_image(buffer.getvalue(), name="x"), decode_image(encode(ramp(64, 80), quality=90), name="x")
    )


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo():
    data, thumbnail = encode(ramp(64, 80), quality=90), encode(ramp(16, 16))
    with_thumbnail = data[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    np.testing.assert_array_equal(decode_image(with_thumbnail, name="x"), decode_image(data, name="x"))
    for cut in (with_thumbnail[:-2], with_thumbnail[:-200], with_thumbnail[: len(thumbnail) + 30], data[:40], data[:3]):
        with pytest.raises(ImageError):
            decode_image(cut, name="x")


def test_damaged_jpegs_fare_alike_at_every_size_and_no_better_than_with_pillow():
    data = encode(ramp(72, 96), quality=80)
    rng = np.random.default_rng(2)
    refused = 0
    for trial in range(150):
        damaged = bytearray(data)
        start = int(rng.integers(2, len(data) - 10))
        count = int(rng.integers(1, 40))
        if trial % 3 == 0:
            del damaged[start : start + count]
        else:
            damaged[start : start + count] = rng.integers(0, 256, count, np.uint8).tobytes()
        if trial % 5 == 0:
            damaged = damaged[: int(rng.integers(start, len(data)))]
        codes = {code_of(damaged, reduction) for reduction in (1, 2, 4, 8)}
        assert len(codes) == 1
        try:
            Image.open(io.BytesIO(damaged)).load()
        except (OSError, SyntaxError):
            assert codes != {None}
        refused += codes != {None}
    assert 10 < refused < 150


def code_of(data, reduction):
    """The code of the error, None for a picture."""
    try:
        decode_reduced(bytes(data), name="x", reduction=reduction)
    except ImageError as error:
        return error.code
    return None
