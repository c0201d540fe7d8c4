"""Pictures are turned right, laid over white and say how they were taken; damaged bytes are refused."""

import copy
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import CORRUPT, INVERSE, SOURCES, encode, photo
from PIL import Image, ImageOps

from datasets_manifest.sources.images import ImageError, decode_image, exif_focal_px, exif_orientation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")


def test_transparency_is_laid_over_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(buffer, format="PNG")
    assert (decode_image(buffer.getvalue(), name="x") == 255).all()


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", INVERSE)
def test_the_eight_exif_variants_are_the_same_picture(fmt, orientation):
    stored = Image.fromarray(photo())
    if (turn := INVERSE[orientation]) is not None:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, format=fmt, exif=exif, **({"lossless": True} if fmt == "WEBP" else {}))
    rgb = decode_image(buffer.getvalue(), name="x")
    assert exif_orientation(buffer.getvalue()) == (1 if fmt == "TIFF" else orientation)
    with Image.open(buffer) as image:
        oracle = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(rgb, oracle)
    if fmt != "JPEG":
        np.testing.assert_array_equal(rgb, photo())


def test_a_damaged_exif_block_does_not_lose_the_photo():
    damaged = encode("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode_image(damaged, name="x"), decode_image(encode("JPEG"), name="x"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(name, data):
    content = bytearray(SOURCES[name])
    for at in data.draw(st.lists(st.integers(0, min(len(content), 700) - 1), min_size=1, max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        rgb = decode_image(bytes(content), name=name, max_pixels=1_000_000)
    except ImageError:
        return
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3


def test_an_image_error_survives_a_copy_as_between_processes():
    error = copy.copy(ImageError(CORRUPT, "cut short"))
    assert (error.code, error.detail) == (CORRUPT, "cut short")


def keyed_png(samples, depth, colours, key):
    """A PNG of (H, W, C) samples of ``depth`` bits with one colour that stands for nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = samples.shape
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = (samples.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = zlib.compress(np.concatenate([np.zeros((height, 1), np.uint8), rows], 1).tobytes())
    header = struct.pack(">IIBBBBB", width, height, depth, 0 if colours == 1 else 2, 0, 0, 0)
    clear = chunk(b"tRNS", struct.pack(f">{colours}H", *key))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + clear + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("depth", "colours"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)])
def test_the_one_clear_colour_of_a_png_is_white_and_no_other_is(depth, colours):
    rng = np.random.default_rng(depth)
    samples = rng.integers(0, 2**depth, (12, 16, colours))
    key = samples[0, 0]
    samples[::3, ::2] = key
    samples[1] = key ^ 1  # The next of all colours, in 16 bits the same upper byte.
    eight = samples >> 8 if depth == 16 else samples * 255 // (2**depth - 1)
    expected = np.where((samples == key).all(-1, keepdims=True), 255, np.broadcast_to(eight, (12, 16, 3)))
    np.testing.assert_array_equal(decode_image(keyed_png(samples, depth, colours, key), name="x"), expected)


@pytest.mark.long
def test_a_phone_s_108_megapixels_are_a_photo():
    buffer = io.BytesIO()
    Image.new("RGB", (12000, 9000), (9, 9, 9)).save(buffer, "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(buffer.getvalue(), name="x").shape == (9000, 12000, 3)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"hi\n", "x.png is text, not an image; expected one of JPEG"),
        ("Grüße aus K\u00f6ln".encode(), "x.png is text, not an image"),
        (b"GIF89a\x01\x00", "x.png begins with the bytes 47 49 46 38 39 61 01 00; expected one of JPEG"),
        (b"\xff\x00", "x.png begins with the bytes ff 00"),
    ],
)
def test_what_is_no_image_is_told_in_words(data, told):
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="x.png")
    assert caught.value.detail.startswith(told)


def with_exif(width, height, fmt="JPEG", orientation=1, **tags):
    """An encoded picture whose EXIF block holds FocalLengthIn35mmFilm, PixelXDimension and PixelYDimension."""
    numbers = {"film_mm": 0xA405, "x": 0xA002, "y": 0xA003}
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8769] = {numbers[name]: value for name, value in tags.items()}
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(buffer, format=fmt, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_stated_focal_length_is_that_of_a_film_with_the_same_diagonal(fmt):
    assert exif_focal_px(with_exif(360, 240, fmt, film_mm=50)) == pytest.approx(500)
    assert exif_focal_px(with_exif(240, 360, fmt, film_mm=50, orientation=6)) == pytest.approx(500)
    # Of other proportions: the diagonals, 400 x 300 px and 43.27 mm, are what is compared.
    assert exif_focal_px(with_exif(400, 300, fmt, film_mm=26)) == pytest.approx(26 * 500 / 43.2666, rel=1e-4)


@pytest.mark.parametrize("stated", [{}, {"film_mm": 0}, {"film_mm": 65535}, {"x": 360, "y": 240}])
def test_a_focal_length_that_is_not_stated_is_none(stated):
    assert exif_focal_px(with_exif(360, 240, **stated)) is None


@pytest.mark.parametrize("sides", [{"x": 720, "y": 480}, {"x": 480, "y": 720}, {"x": 361, "y": 241}])
def test_a_scaled_or_turned_picture_keeps_its_focal_length(sides):
    assert exif_focal_px(with_exif(360, 240, film_mm=50, **sides)) == pytest.approx(500)


def test_a_part_of_a_picture_has_no_known_focal_length():
    assert exif_focal_px(with_exif(360, 240, film_mm=50, x=720, y=720)) is None


def test_a_damaged_block_states_no_focal_length():
    data = with_exif(360, 240, film_mm=50)
    at = data.index(b"Exif\0\0") + 6
    assert exif_focal_px(data[: at + 8] + b"\xff" * 40 + data[at + 48 :]) is None
