"""The one strict image decoder: bytes in, upright RGB out, or an error with a code. No half image gets through."""

from __future__ import annotations

import codecs
import io
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.png_integrity import check_png

DEFAULT_MAX_PIXELS: Final = 128_000_000
"""Largest image that is decoded (384 MB as RGB), a phone's 108 megapixels among them; the size is read from the header,
before any pixel."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Formats that are decoded; all others are refused."""

# The limit above is this decoder's own; Pillow's would warn of what is below it.
Image.MAX_IMAGE_PIXELS = None
# MPO is a JPEG with further pictures behind its end.
_JPEG_FORMATS: Final = ("JPEG", "MPO")
_BLOCK_PX: Final = 8
_PNG_DEPTH_AT: Final = 24
_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
_ORIENTATION_TAG: Final = 0x0112
_EXIF_IFD: Final = 0x8769
_FOCAL_35MM_TAG: Final = 0xA405
_STATED_SIDES_TAGS: Final = (0xA002, 0xA003)
_FILM_MM: Final = (36.0, 24.0)
_LENSES_MM: Final = (5.0, 3000.0)
"""Of the film's lenses, from a fisheye's to a telescope's; what is outside is damage."""
_SAME_SHAPE: Final = 0.01
"""Relative difference of side ratios that rounding in a scaled picture explains."""
# EXIF orientations whose rows or columns run backwards, after rows and columns are swapped where it is 5 or more.
_ROWS_FLIPPED: Final = (3, 4, 7, 8)
_COLUMNS_FLIPPED: Final = (2, 3, 6, 7)
# What Pillow's parsers raise on damaged files; memory and programming errors are not among them.
_DECODE_ERRORS: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError)


class ImageError(ValueError):
    """An image that cannot be used; ``code`` goes into the row and ``detail`` beside it."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[ErrorCode, str]]:
        """Keep both arguments when the error travels between processes."""
        return type(self), (self.code, self.detail)


class UnreachableError(ImageError):
    """An image that may not be looked at, or whose disk failed: it may be there, as good as it was before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReducedImage:
    """An upright image that may be smaller than its file says.

    Positions count from the corner: p px of the whole upright image lies at ``p / reduction + offset_px`` of ``rgb``.
    """

    rgb: np.ndarray
    """(h, w, 3) uint8, C-contiguous."""
    reduction: int
    """1, 2, 4 or 8."""
    offset_px: tuple[float, float]
    """x, y; below 1, and not 0 only where a turned image has a last block that is not whole."""
    size_px: tuple[int, int]
    """Width and height of the whole upright image."""


def decode_image(data: bytes, *, name: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Decode an image into upright RGB.

    Grey, 16-bit (the upper byte is kept), palette, CMYK and YCbCr images become RGB; transparency is laid over white;
    the EXIF orientation is applied, once. Of an image with several frames the first is taken. A JPEG is refused on
    any error or warning of its decoder, which most damage causes; it has no checksum, nor has WebP, so damage that
    decodes without a warning cannot be told.

    Args:
        data: the file's bytes.
        name: how to call the image in an error.
        max_pixels: width times height above which the image is refused without being decoded.

    Returns:
        (H, W, 3) uint8, C-contiguous.

    Raises:
        ImageError: image_corrupt, image_unsupported or image_too_large.
    """
    return _decode(data, name, 1, max_pixels).rgb


def decode_reduced(data: bytes, *, name: str, reduction: int, max_pixels: int = DEFAULT_MAX_PIXELS) -> ReducedImage:
    """Decode like ``decode_image``, and where the format allows it only as finely as asked for.

    A JPEG keeps the low frequencies of each block of 8 x 8 px then: it decodes faster, and as strictly, since all of
    its data is read nevertheless. Other formats are decoded whole.

    Args:
        data: the file's bytes.
        name: how to call the image in an error.
        reduction: 1, 2, 4 or 8; the result may be reduced less, never more.
        max_pixels: as for ``decode_image``, of the whole image.

    Raises:
        ImageError: as ``decode_image``.
        ValueError: another reduction.
    """
    if reduction not in (1, 2, 4, 8):
        raise ValueError(f"reduction: expected 1, 2, 4 or 8, got {reduction}")
    return _decode(data, name, reduction, max_pixels)


def exif_orientation(data: bytes) -> int:
    """The EXIF orientation 1..8 that is applied to a decoded image (1 for a TIFF, which is turned as it is decoded).

    Raises:
        ImageError: as ``decode_image``, but for damaged pixels.
    """
    with _open(data, "the image", DEFAULT_MAX_PIXELS) as image:
        return _orientation(image)


def image_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of an image as it is decoded, upright; raises as ``exif_orientation``."""
    with _open(data, name, DEFAULT_MAX_PIXELS) as image:
        width, height = image.size
        return (height, width) if _orientation(image) > 4 else (width, height)


def exif_focal_px(data: bytes) -> float | None:
    """The focal length in px of the image, from the 35 mm equivalent in its EXIF block; None where there is none.

    It is None, too, where the block states a picture of other proportions: the image is a part of it, who knows which.

    Raises:
        ImageError: as ``decode_image``, but for damaged pixels.
    """
    with _open(data, "the image", DEFAULT_MAX_PIXELS) as image:
        try:
            block = image.getexif().get_ifd(_EXIF_IFD)
            equivalent_mm = float(block.get(_FOCAL_35MM_TAG, 0))
            stated = sorted(float(block.get(tag, 0)) for tag in _STATED_SIDES_TAGS)
        except (*_DECODE_ERRORS, TypeError, ZeroDivisionError):
            return None
        sides = sorted(image.size)
    if not _LENSES_MM[0] <= equivalent_mm <= _LENSES_MM[1]:
        return None
    if stated[0] > 0 and not math.isclose(stated[1] / stated[0], sides[1] / sides[0], rel_tol=_SAME_SHAPE):
        return None
    return equivalent_mm * math.hypot(*sides) / math.hypot(*_FILM_MM)


def _decode(data: bytes, name: str, reduction: int, max_pixels: int) -> ReducedImage:
    with _open(data, name, max_pixels) as image:
        orientation = _orientation(image)
        width, height = image.size
        is_jpeg = image.format in _JPEG_FORMATS
        # Scales of less than a block cannot be told apart by the size of the result.
        done = reduction if is_jpeg and min(width, height) >= _BLOCK_PX else 1
        try:
            if image.format == "PNG":
                check_png(data)
            rgb = _jpeg_rgb(data, width, height, done) if is_jpeg else None
            if rgb is None:
                image.load()
        except _DECODE_ERRORS as error:
            raise ImageError(ErrorCode.IMAGE_CORRUPT, f"{name}: the pixels cannot be decoded ({error}).") from error
        rgb = _to_rgb(image, data, name) if rgb is None else rgb
    rgb = np.ascontiguousarray(_upright(rgb, orientation))
    if orientation >= 5:
        width, height = height, width
    offset = (
        rgb.shape[1] - width / done if orientation in _COLUMNS_FLIPPED else 0.0,
        rgb.shape[0] - height / done if orientation in _ROWS_FLIPPED else 0.0,
    )
    return ReducedImage(rgb=rgb, reduction=done, offset_px=offset, size_px=(width, height))


def _jpeg_rgb(data: bytes, width: int, height: int, reduction: int) -> np.ndarray:
    """Decode a JPEG to (ceil(H / reduction), ceil(W / reduction), 3) uint8, without its EXIF orientation.

    Raises:
        ValueError: libjpeg has an error or a warning, or reads another size than the header gave before.
    """
    found_height, found_width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if (found_width, found_height) != (width, height):
        raise ValueError(f"two sizes: {width} x {height} and {found_width} x {found_height}")
    has_black = colours in ("CMYK", "YCCK")
    pixels = simplejpeg.decode_jpeg(
        data, "CMYK" if has_black else "RGB", min_width=-(-width // reduction), min_height=-(-height // reduction)
    )
    # Ink is stored inverted, as Adobe does; Pillow turns it into light.
    return np.asarray(Image.fromarray(255 - pixels, "CMYK").convert("RGB")) if has_black else pixels


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """Read the header only and refuse what should not be decoded."""
    if not data:
        raise ImageError(ErrorCode.IMAGE_CORRUPT, f"{name} is empty (0 bytes).")
    if not data.startswith(_SIGNATURES):
        raise ImageError(
            ErrorCode.IMAGE_UNSUPPORTED,
            f"{name} {_beginning(bytes(data[:12]))}; expected one of {', '.join(FORMATS)}.",
        )
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except _DECODE_ERRORS as error:
        raise ImageError(ErrorCode.IMAGE_CORRUPT, f"{name}: the header cannot be read ({error}).") from error
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ImageError(
            ErrorCode.IMAGE_TOO_LARGE,
            f"{name} is {width} x {height} = {width * height} pixels, allowed are {max_pixels}.",
        )
    return image


def _beginning(first: bytes) -> str:
    """What a file seems to be that is no image."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(first)  # The last character may be cut.
        if all(char.isprintable() or char.isspace() for char in text):
            return "is text, not an image"
    except UnicodeDecodeError:
        pass
    return f"begins with the bytes {first.hex(' ')}"


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8 still to be applied; 1 where there is none or the EXIF block is damaged."""
    if image.format == "TIFF":  # Pillow turns these itself.
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image, data: bytes, name: str) -> np.ndarray:
    """(H, W, 3) uint8 from any mode that has one clear reading as colours."""
    if isinstance(image.info.get("transparency"), int | tuple) and image.mode in ("1", "L", "I;16", "RGB"):
        is_clear = _is_clear(image, data)
        del image.info["transparency"]
        return np.where(is_clear[:, :, None], np.uint8(255), _to_rgb(image, data, name))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, layer))[:, :, :3]
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "RGB":
        return np.asarray(image)
    if image.mode in ("L", "1", "P", "CMYK", "YCbCr"):
        return np.asarray(image.convert("RGB"))
    raise ImageError(
        ErrorCode.IMAGE_UNSUPPORTED, f"{name} has the pixel type {image.mode}, which has no one reading as 8-bit RGB."
    )


def _is_clear(image: Image.Image, data: bytes) -> np.ndarray:
    """(H, W) bool: where a PNG has the one colour that stands for nothing. It is stated in the file's own samples, of 1
    to 16 bits, which Pillow compares with those that it has made of them."""
    key, depth = np.asarray(image.info["transparency"]), data[_PNG_DEPTH_AT]
    if image.mode == "RGB" and depth == 16:  # Their lower bytes are gone; OpenCV keeps them.
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))[:, :, 3] == 0
    if image.mode == "1":
        return np.asarray(image.convert("L")) == key
    key = key & (2**depth - 1)
    if depth < 8:  # Pillow spreads these over 0..255.
        key = key * (255 // (2**depth - 1))
    is_same = np.asarray(image) == key
    return is_same if image.mode != "RGB" else is_same.all(-1)


def _upright(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to (H, W, 3)."""
    if orientation >= 5:
        rgb = rgb.transpose(1, 0, 2)
    return rgb[:: -1 if orientation in _ROWS_FLIPPED else 1, :: -1 if orientation in _COLUMNS_FLIPPED else 1]
