"""Encoded pictures, good and broken ones, and what is to come of each."""

import io
import pickle
import struct
import zlib

import numpy as np
from PIL import Image

from datasets_manifest.schema.error_codes import ErrorCode

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
