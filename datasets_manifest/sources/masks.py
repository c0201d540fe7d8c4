"""Masks of people as files beside the photos: which pixels are the person.

The mask of ``a/b.jpg`` is ``a/b.jpg.png`` in the folder of the masks: 8-bit grey, of the size of the upright photo. A
photo of several people has one for each, ``a/b.jpg#1.png`` for the second.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, decode_image

PERSON, UNKNOWN, NOBODY = 255, 128, 0
"""Values of a mask. What is not known, as behind something that is in front, has no say."""
LEVELS = np.repeat(np.array([NOBODY, UNKNOWN, PERSON], np.uint8), (64, 128, 64))
"""(256,) which of them a stored value means."""
GREY_MODES = ("1", "L", "P", "RGB")
"""Of Pillow: pictures of 8 bits or one, if their colours are greys."""


def mask_path(folder: Path, image: str, person: int = 0) -> Path:
    """Where the mask of a person of a photo lies.

    Args:
        folder: Of the masks.
        image: Name of the photo in its data set.
        person: Number of the person in it.
    """
    return folder / f"{image}{f'#{person}' if person else ''}.png"


def mask_png(mask: np.ndarray) -> bytes:
    """A mask (H, W) uint8 as the bytes of its file."""
    _, data = cv2.imencode(".png", mask)
    return data.tobytes()


def read_mask(folder: Path, image: str, person: int, size_px: tuple[int, int]) -> np.ndarray | None:
    """The mask of a person, (H, W) uint8; None where there is no such file.

    Args:
        folder: Of the masks.
        image: Name of the photo.
        person: Number of the person in it.
        size_px: Width and height of the upright photo.

    Raises:
        ImageError: It cannot be decoded, is of another size, or its values cannot be told.
    """
    path = mask_path(folder, image, person)
    if not path.is_file():
        return None
    data = path.read_bytes()
    rgb = decode_image(data, name=str(path))
    mask = rgb[..., 0]
    height, width = mask.shape
    if (width, height) != size_px:
        raise _refused(
            f"{path}: the mask is {width} x {height} px, its photo, upright, {size_px[0]} x {size_px[1]}; make it anew."
        )
    with Image.open(io.BytesIO(data)) as stored:
        kind = "transparent" if stored.has_transparency_data else stored.mode
    if kind not in GREY_MODES or (rgb != mask[..., None]).any():
        raise _refused(f"{path}: the mask is no 8-bit grey picture (but {kind}); save it as one, without transparency.")
    if 0 < mask.max() < UNKNOWN:
        raise _refused(
            f"{path}: the mask has no value above {mask.max()}; write {PERSON} where the person is and {UNKNOWN} where "
            "that is not known."
        )
    # What was smoothed or lossily stored lies between the three values.
    return LEVELS[mask]


def _refused(detail: str) -> ImageError:
    return ImageError(ErrorCode.IMAGE_CORRUPT, detail)
