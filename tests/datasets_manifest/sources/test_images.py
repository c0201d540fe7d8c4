"""Forty kinds of files, good and broken: each is decoded right or refused with the right code."""

import copy
import io
import pickle
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, decode_image, exif_focal_px, exif_orientation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")

CORRUPT, UNSUPPORTED, TOO_LARGE = ErrorCode.IMAGE_CORRUPT, ErrorCode.IMAGE_UNSUPPORTED, ErrorCode.IMAGE_TOO_LARGE


def photo(height=64, width=96):
    """Smooth colours with some texture, (H, W, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    rgb = np.stack([x / width * 255, y / height * 255, 128 + 100 * np.sin(x / 9)], axis=2) + noise
    return np.clip(rgb, 0, 255).astype(np.uint8)


def encode(fmt, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(photo()).convert(mode).save(buffer, format=fmt, **options)
    return buffer.getvalue()


def png_of(width, height, bit_depth, colour_type, compressed, interlaced=0):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


def interlaced_png():
    """Adam7 by hand, from the order in the PNG specification (the library used here cannot write it)."""
    rgb = photo(13, 11)
    first_and_step = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b"".join(
        b"\0" + line.tobytes()
        for row, column, row_step, column_step in first_and_step
        for line in rgb[row::row_step, column::column_step]
        if line.size
    )
    return png_of(11, 13, 8, 2, zlib.compress(raw), interlaced=1)


def grey16_png():
    grey = photo()[:, :, 0].astype(np.uint16) * 256 + 77
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG")
    return buffer.getvalue()


def float_tiff():
    buffer = io.BytesIO()
    Image.fromarray(photo()[:, :, 0].astype(np.float32) / 255).save(buffer, format="TIFF")
    return buffer.getvalue()


def with_size(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def broken_crc(png):
    at = png.index(b"IDAT") + 20
    return png[:at] + bytes([png[at] ^ 0xFF]) + png[at + 1 :]


SOURCES = {
    "jpeg": encode("JPEG", quality=90),
    "progressive": encode("JPEG", quality=90, progressive=True),
    "grey_jpeg": encode("JPEG", "L"),
    "cmyk_jpeg": encode("JPEG", "CMYK", quality=95),
    "png": encode("PNG"),
    "webp": encode("WEBP", lossless=True),
    "bmp": encode("BMP"),
    "tiff": encode("TIFF"),
}
CUT = {
    f"{name} cut at {percent} %": (data[: len(data) * percent // 100], CORRUPT)
    for name, data in SOURCES.items()
    for percent in (10, 50, 90)
}
OTHERS = {
    "0 bytes": (b"", CORRUPT),
    "HTML named .jpg": (b"<!DOCTYPE html><html>403</html>", UNSUPPORTED),
    "text": (b"not an image", UNSUPPORTED),
    "GIF": (encode("GIF", "P"), UNSUPPORTED),
    "PDF": (b"%PDF-1.7\n", UNSUPPORTED),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UNSUPPORTED),
    "pickle": (pickle.dumps(print), UNSUPPORTED),
    "float TIFF": (float_tiff(), UNSUPPORTED),
    "JPEG signature only": (b"\xff\xd8\xff", CORRUPT),
    "PNG signature only": (b"\x89PNG\r\n\x1a\n", CORRUPT),
    "RIFF that is no WebP": (b"RIFF\x10\0\0\0WAVEfmt ", CORRUPT),
    "PNG with a wrong checksum": (broken_crc(SOURCES["png"]), CORRUPT),
    "PNG with no pixels": (png_of(64, 64, 8, 2, b""), CORRUPT),
    "PNG of no size": (png_of(0, 0, 8, 2, zlib.compress(b"")), CORRUPT),
    "PNG with too few rows": (png_of(500, 500, 8, 2, zlib.compress(bytes(1501 * 20))), CORRUPT),
    "JPEG that claims 65,000 x 65,000": (with_size(SOURCES["jpeg"], 65000, 65000), TOO_LARGE),
    "JPEG that claims 11,500 x 11,500": (with_size(SOURCES["jpeg"], 11500, 11500), TOO_LARGE),
}
BAD = CUT | OTHERS


@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_refused_with_its_code(name):
    data, code = BAD[name]
    with pytest.raises(ImageError) as caught:
        decode_image(data, name="x.jpg")
    assert caught.value.code == code, caught.value
    assert "x.jpg" in caught.value.detail


def test_there_are_forty_broken_files():
    assert len(BAD) >= 40


GOOD = {
    "JPEG": (encode("JPEG", quality=98, subsampling=0), photo(), 12),
    "progressive JPEG": (encode("JPEG", quality=98, subsampling=0, progressive=True), photo(), 12),
    "grey JPEG": (
        encode("JPEG", "L", quality=98),
        np.asarray(Image.fromarray(photo()).convert("L").convert("RGB")),
        12,
    ),
    "CMYK JPEG": (encode("JPEG", "CMYK", quality=98, subsampling=0), photo(), 16),
    "PNG": (SOURCES["png"], photo(), 0),
    "16-bit grey PNG": (grey16_png(), np.repeat(photo()[:, :, :1], 3, axis=2), 0),
    "PNG with alpha": (encode("PNG", "RGBA"), photo(), 0),
    "grey PNG with alpha": (encode("PNG", "LA"), np.asarray(Image.fromarray(photo()).convert("L").convert("RGB")), 0),
    "palette PNG": (encode("PNG", "P"), np.asarray(Image.fromarray(photo()).convert("P").convert("RGB")), 0),
    "1-bit PNG": (encode("PNG", "1"), np.asarray(Image.fromarray(photo()).convert("1").convert("RGB")), 0),
    "interlaced PNG": (interlaced_png(), photo(13, 11), 0),
    "WebP": (SOURCES["webp"], photo(), 0),
    "BMP": (SOURCES["bmp"], photo(), 0),
    "TIFF": (SOURCES["tiff"], photo(), 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_decoded_to_rgb(name):
    data, expected, tolerance = GOOD[name]
    rgb = decode_image(data, name=name)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert rgb.shape == expected.shape
    assert np.quantile(np.abs(rgb.astype(int) - expected.astype(int)), 0.99) <= tolerance


def test_transparency_is_laid_over_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(buffer, format="PNG")
    assert (decode_image(buffer.getvalue(), name="x") == 255).all()


INVERSE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


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


def test_a_bomb_is_refused_fast_and_small(tmp_path):
    packer = zlib.compressobj(9)
    row = bytes(1 + 30000 // 8)
    bomb = png_of(30000, 30000, 1, 0, b"".join(packer.compress(row) for _ in range(30000)) + packer.flush())
    (tmp_path / "bomb.png").write_bytes(bomb)
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from datasets_manifest.sources.images import ImageError, decode_image\n"
        "start = time.process_time()\n"
        "try:\n    decode_image(open(sys.argv[1], 'rb').read(), name='bomb')\n"
        "except ImageError as error:\n"
        "    print(error.code, time.process_time() - start)\n"
        "    peak = Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]\n"
        "    print(int(peak) / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bomb.png")], capture_output=True, text=True, check=True
    )
    code, seconds, megabytes = done.stdout.split()
    assert code == TOO_LARGE
    assert float(seconds) < 5
    assert float(megabytes) < 1000


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
