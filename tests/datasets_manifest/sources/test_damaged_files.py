"""Forty damaged files: each is refused with its code at every size, or gives the pixels of the whole file."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, decode_image, decode_reduced

CORRUPT, UNSUPPORTED, TOO_LARGE = ErrorCode.IMAGE_CORRUPT, ErrorCode.IMAGE_UNSUPPORTED, ErrorCode.IMAGE_TOO_LARGE
SAME = None
"""Expected of a file whose damage does not reach the pixels."""
END = b"\xff\xd9"


def photo(seed=0, height=240, width=320):
    """Smooth shapes and some texture, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 20, width // 20, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def encode(fmt="JPEG", mode="RGB", seed=0, **options):
    buffer = io.BytesIO()
    Image.fromarray(photo(seed)).convert(mode).save(buffer, format=fmt, **options)
    return buffer.getvalue()


def overwritten(data, seed=0, count=512, at=None):
    """Bytes below 255, so that none of them begins a mark."""
    rng = np.random.default_rng(seed)
    at = len(data) // 2 if at is None else at
    return data[:at] + rng.integers(0, 255, count, np.uint8).tobytes() + data[at + count :]


def half(data):
    return data[: len(data) // 2]


def lost(data, count=200):
    return half(data) + data[len(data) // 2 + count :]


def segments(jpeg):
    """Parts of a JPEG: its first mark, each segment, and the last scan with all that follows."""
    parts, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        parts.append(jpeg[at:end])
        at = end
    return [*parts, jpeg[at:]]


def position(parts, marker):
    return next(i for i, part in enumerate(parts) if part[1] == marker)


def without(jpeg, marker):
    return b"".join(part for part in segments(jpeg) if part[1] != marker)


def swapped(jpeg, first, second):
    parts = segments(jpeg)
    i, j = position(parts, first), position(parts, second)
    parts[i], parts[j] = parts[j], parts[i]
    return b"".join(parts)


def with_length(jpeg, marker, change):
    parts = segments(jpeg)
    i = position(parts, marker)
    length = struct.unpack_from(">H", parts[i], 2)[0] + change
    parts[i] = parts[i][:2] + struct.pack(">H", length) + parts[i][4:]
    return b"".join(parts)


def with_size(jpeg, width, height):
    at = re.search(rb"\xff[\xc0\xc2]", jpeg).start() + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def scans_swapped(jpeg):
    starts = [match.start() for match in re.finditer(rb"\xff\xda", jpeg)]
    a, b, c, d = starts[0], starts[1], starts[2], starts[3]
    return jpeg[:a] + jpeg[c:d] + jpeg[b:c] + jpeg[a:b] + jpeg[d:]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(png):
    parts, at = [], 8
    while at < len(png):
        end = at + 12 + struct.unpack_from(">I", png, at)[0]
        parts.append(png[at:end])
        at = end
    return parts


def png_with_rows(png, share):
    """The picture's first rows only, packed again, all checksums right."""
    parts = chunks(png)
    rows = zlib.decompress(b"".join(part[8:-4] for part in parts if part[4:8] == b"IDAT"))
    return png[:8] + parts[0] + chunk(b"IDAT", zlib.compress(rows[: int(len(rows) * share)])) + parts[-1]


def riff(data):
    """A WebP file whose length is right again."""
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


JPEGS = {
    "baseline": encode(quality=90),
    "progressive": encode(quality=90, progressive=True),
    "grey": encode(mode="L", quality=90),
    "CMYK": encode(mode="CMYK", quality=90),
    "with restarts": encode(quality=90, restart_marker_rows=1),
}
BASELINE, OPTIMISED = JPEGS["baseline"], encode(quality=90, optimize=True)
PNG, WEBP, LOSSY = encode("PNG"), encode("WEBP", lossless=True), encode("WEBP", quality=90)
IDATS = [part for part in chunks(PNG) if part[4:8] == b"IDAT"]

DAMAGED = {
    **{f"{name} JPEG, half": (data, half(data), CORRUPT) for name, data in JPEGS.items()},
    **{f"{name} JPEG, half, and an end mark": (data, half(data) + END, CORRUPT) for name, data in JPEGS.items()},
    **{f"{name} JPEG, 512 bytes overwritten": (data, overwritten(data), CORRUPT) for name, data in JPEGS.items()},
    "JPEG, 2000 bytes lost": (BASELINE, lost(BASELINE, 2000), CORRUPT),
    "progressive JPEG, 200 bytes lost": (JPEGS["progressive"], lost(JPEGS["progressive"]), CORRUPT),
    "JPEG, second half zero": (BASELINE, half(BASELINE) + bytes(len(BASELINE) // 2) + END, CORRUPT),
    "JPEG without its end mark": (BASELINE, BASELINE[:-2], CORRUPT),
    "JPEG, twice as high": (BASELINE, with_size(BASELINE, 320, 480), CORRUPT),
    "JPEG, half as high": (BASELINE, with_size(BASELINE, 320, 120), CORRUPT),
    "JPEG, 60,000 px wide": (BASELINE, with_size(BASELINE, 60000, 60000), TOO_LARGE),
    "JPEG without quantisation": (BASELINE, without(BASELINE, 0xDB), CORRUPT),
    "JPEG without its own codes": (OPTIMISED, without(OPTIMISED, 0xC4), CORRUPT),
    "JPEG without a frame": (BASELINE, without(BASELINE, 0xC0), CORRUPT),
    "JPEG, quantisation 20 bytes long": (BASELINE, with_length(BASELINE, 0xDB, -47), CORRUPT),
    "JPEG, codes 3 bytes longer": (BASELINE, with_length(BASELINE, 0xC4, 3), CORRUPT),
    "JPEG, scan before frame": (BASELINE, swapped(BASELINE, 0xC0, 0xDA), CORRUPT),
    "progressive JPEG, scans swapped": (JPEGS["progressive"], scans_swapped(JPEGS["progressive"]), CORRUPT),
    "JPEG, frame before quantisation": (BASELINE, swapped(BASELINE, 0xDB, 0xC0), SAME),
    "JPEG with bytes behind its end": (BASELINE, BASELINE + b"more", SAME),
    "JPEG, first bytes zero": (BASELINE, bytes(4) + BASELINE[4:], UNSUPPORTED),
    "PNG, half": (PNG, half(PNG), CORRUPT),
    "PNG, half, and an end": (PNG, half(PNG) + chunks(PNG)[-1], CORRUPT),
    "PNG, 16 bytes overwritten": (PNG, overwritten(PNG, count=16), CORRUPT),
    "PNG, chunks swapped": (PNG, PNG[:8] + b"".join([chunks(PNG)[0], *IDATS[::-1], chunks(PNG)[-1]]), CORRUPT),
    "PNG with half of its rows": (PNG, png_with_rows(PNG, 0.5), CORRUPT),
    "WebP, half": (WEBP, half(WEBP), CORRUPT),
    "WebP, half, its length mended": (LOSSY, riff(half(LOSSY)), CORRUPT),
    "WebP, 16 bytes overwritten at the start": (WEBP, overwritten(WEBP, count=16, at=20), CORRUPT),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_at_every_size_or_is_the_whole_picture(name):
    whole, damaged, code = DAMAGED[name]
    for reduction in (1, 2, 4, 8):
        if code is SAME:
            expected = decode_reduced(whole, name="whole", reduction=reduction)
            np.testing.assert_array_equal(decode_reduced(damaged, name=name, reduction=reduction).rgb, expected.rgb)
            continue
        with pytest.raises(ImageError) as caught:
            decode_reduced(damaged, name="x.jpg", reduction=reduction)
        assert caught.value.code == code, caught.value
        assert "x.jpg" in caught.value.detail


def test_there_are_forty_damaged_files():
    assert len(DAMAGED) == 40


@pytest.mark.parametrize("name", JPEGS)
def test_most_jpegs_that_are_overwritten_in_the_middle_are_refused(name):
    """16 to 2048 bytes that look like data, not like marks; Pillow by itself refuses none or one of them."""
    data, codes = JPEGS[name], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        count, at = int(rng.integers(16, 2049)), int(rng.integers(len(data) // 4, 3 * len(data) // 4))
        try:
            decode_image(overwritten(data, seed, count, at), name="x")
        except ImageError as error:
            codes.append(error.code)
    assert set(codes) == {CORRUPT}
    assert len(codes) >= 36
